"""What `--explain` says: the verdict, the rule that decides, what the request is about."""

import json
from dataclasses import replace

import pytest

from kubegate.model.filters import default_filters
from kubegate.model.problem import InvalidInput
from kubegate.proxy.explain import explain

READ_ONLY = replace(default_filters(), read_only=True)


def test_a_request_that_passes() -> None:
    found = explain(default_filters(), "GET /api/v1/namespaces/d/pods?watch=1")
    assert found.text().splitlines() == [
        "GET /api/v1/namespaces/d/pods?watch=1 (Host: localhost) passes",
        "  rule     --accept-paths ^.*, --accept-hosts ^localhost$",
        "  request  watch pods in d",
    ]


def test_a_request_that_is_refused() -> None:
    found = explain(READ_ONLY, "DELETE /api/v1/namespaces/d/secrets/s")
    assert found.text().splitlines()[:2] == [
        "DELETE /api/v1/namespaces/d/secrets/s (Host: localhost) is refused with 403: "
        "--read-only refuses this request (delete secrets s in d)",
        "  rule     --read-only",
    ]


def test_as_json() -> None:
    found = json.loads(explain(default_filters(), "GET http://evil.com:80/version").as_json())
    assert (found["host"], found["path"]) == ("evil.com:80", "/version")
    assert found["verdict"] == {
        "allowed": False,
        "rule": "--accept-hosts",
        "message": "no pattern of --accept-hosts fits the host that this request names",
        "status": 403,
    }
    assert found["request"]["is_resource"] is False


def test_an_upgrade_is_a_word_of_its_own() -> None:
    target = "/apis/subresources.example.com/v1/namespaces/d/machines/m/console"
    assert explain(READ_ONLY, f"GET {target}").verdict.allowed
    assert not explain(READ_ONLY, f"GET {target} Upgrade").verdict.allowed


def test_a_path_that_cannot_be_decoded_is_explained_too() -> None:
    found = explain(default_filters(), "GET /%zz")
    assert found.request is None
    assert (found.verdict.status, found.verdict.rule) == (400, "path")
    assert "hexadecimal" in found.text()


@pytest.mark.parametrize(
    "line",
    ["", "GET", "/api", "GET /api HTTP/1.1", "GET /api Upgrade x", "GET api/v1", "GET http://[::1/api", "GET http:///api"],
)
def test_what_is_no_request_line_is_a_problem(line: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        explain(default_filters(), line)
    assert [problem.where for problem in refused.value.problems] == ["--explain"]
