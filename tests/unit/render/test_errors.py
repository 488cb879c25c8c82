"""Errors as `Status` objects: every code has its reason, every message its sentence, and nothing breaks the quoting."""

import json
import re
import shlex

import pytest

from kubegate.render.haproxy.errors import deny, http_error_lines
from kubegate.render.status_text import status_json


def test_a_status_object_has_what_clients_read() -> None:
    assert json.loads(status_json(403, "no")) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "kubegate: no",
        "reason": "Forbidden",
        "code": 403,
    }


def test_a_code_without_a_reason_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        status_json(418, "I am a teapot")


@pytest.mark.parametrize("line", http_error_lines(), ids=lambda line: line.split()[2])
def test_http_error_lines_are_whole(line: str) -> None:
    words = shlex.split(line)
    assert words[:2] + words[3:6] == ["http-error", "status", "content-type", "application/json", "string"]
    status = json.loads(words[6])
    assert status["code"] == int(words[2])
    assert len(words) == 7
    assert re.match(r"kubegate: [a-z].{20,}[^.]$", status["message"])


def test_a_message_may_hold_quotes() -> None:
    words = shlex.split(deny(400, 'it\'s "odd" \\ %[src]', "if TRUE"))
    assert json.loads(words[words.index("string") + 1])["message"] == 'kubegate: it\'s "odd" \\ %[src]'
    assert words[-2:] == ["if", "TRUE"]


def test_431_needs_another_action() -> None:
    assert deny(431, "x", "if TRUE").startswith("http-request return status 431 ")
    assert deny(400, "x", "if TRUE").startswith("http-request deny deny_status 400 ")
