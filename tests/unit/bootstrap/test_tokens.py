"""Bootstrap tokens as Secrets."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubegate.bootstrap.tokens import USAGES, new_token, read_secret, secret_of, token_problems

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
GROUP = "system:bootstrappers:workers"


def stored(secret: dict[str, Any]) -> dict[str, Any]:
    """As the API server keeps it."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in secret["stringData"].items()}
    return {"metadata": secret["metadata"] | {"uid": "u"}, "type": secret["type"], "data": data}


def changed(**data: str | None) -> dict[str, Any]:
    secret = secret_of(new_token(timedelta(hours=1), USAGES, [], "", NOW))
    merged = secret["stringData"] | {key.replace("_", "-"): value for key, value in data.items()}
    return stored(secret | {"stringData": {key: value for key, value in merged.items() if value is not None}})


def test_a_new_token_is_read_as_it_was_made() -> None:
    token = new_token(timedelta(hours=24), USAGES, [GROUP], "rack 7", NOW)
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token.whole)
    assert token.secret not in repr(token)
    secret = secret_of(token)
    assert secret["metadata"] == {"name": f"bootstrap-token-{token.id}", "namespace": "kube-system"}
    assert secret["stringData"]["expiration"] == "2026-01-03T03:04:05Z"
    found = read_secret(stored(secret))
    assert (found.id, found.whole, found.groups, found.description, found.faults) == (
        token.id,
        token.whole,
        (GROUP,),
        "rack 7",
        (),
    )
    assert found.usages == USAGES
    assert not found.expired(NOW)
    assert found.expired(NOW + timedelta(hours=24))


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        (changed(token_id="ABCDEF"), "form"),
        (changed(token_secret=None), "form"),
        (changed(token_id="zzzzzz"), "name"),
        (changed(usage_bootstrap_authentication="True", usage_bootstrap_signing="yes"), "usages"),
        (changed(auth_extra_groups="system:masters"), "system:masters"),
        (changed(expiration="tomorrow"), "RFC 3339"),
        (changed() | {"data": {"token-id": "%"}}, "form"),
    ],
)
def test_what_the_api_server_takes_for_no_token_is_said(secret: dict[str, Any], word: str) -> None:
    assert any(word in fault for fault in read_secret(secret).faults)


def test_one_without_an_end_never_expires_and_one_with_no_time_for_an_end_is_expired() -> None:
    assert not read_secret(changed(expiration=None)).expired(NOW)
    assert read_secret(changed(expiration="tomorrow")).expired(NOW)


def test_what_would_be_refused_or_useless_is_a_problem() -> None:
    wrong = token_problems(["signing"], ["system:masters", GROUP], "a\x1b")
    assert sorted(one.where for one in wrong) == ["--description", "--group", "--group"]
    assert token_problems(USAGES, [GROUP], "words") == []
