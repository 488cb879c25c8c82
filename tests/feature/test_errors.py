"""Errors of the gate are Kubernetes `Status` objects, on HTTP/1 and HTTP/2, and what is merely large passes."""

import urllib.parse
from collections.abc import Iterator

import pytest

from kubegate.model.address import Endpoint
from kubegate.system.network import free_port
from tests.support.gate import Gate, edits, in_section, plan
from tests.support.rawh2 import Refused
from tests.support.rawhttp import Answer
from tests.support.upstream import Exchange, Upstream, late

pytestmark = pytest.mark.haproxy

REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    421: "MisdirectedRequest",
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}
TOKEN = ("Authorization", "Bearer " + "t" * 1400)


@pytest.fixture(scope="module")
def gate(upstream: Upstream) -> Iterator[Gate]:
    """A gate that also raises the statuses that no rule raises yet, and waits for the API server for a moment only."""
    probes = [f"http-request deny deny_status {code} if {{ path /{code} }}" for code in REASONS]
    short = "http-request set-timeout server 300ms if { path /slow }"
    edit = edits(in_section("frontend gate", *probes), in_section("backend test", short))
    with Gate(plan(upstream.endpoint), edit) as gate:
        yield gate


def assert_status(answer: Answer, code: int, reason: str) -> str:
    """That an answer is a `Status` object; its message."""
    assert answer.status == code
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
    status = answer.json
    message = status.pop("message")
    assert status == {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code}
    assert message.startswith("kubegate: ")
    return str(message)


@pytest.mark.parametrize("code", REASONS)
def test_each_error_is_a_status_object(gate: Gate, version: str, code: int) -> None:
    assert_status(gate.ask(version, "GET", f"/{code}"), code, REASONS[code])


def test_head_gets_the_same_without_a_body(gate: Gate, version: str) -> None:
    answer = gate.ask(version, "HEAD", "/403")
    assert (answer.status, answer.body) == (403, b"")
    assert answer.header("content-type") == "application/json"


def test_method_is_refused(gate: Gate, version: str) -> None:
    assert_status(gate.ask(version, "TRACE", "/"), 405, "MethodNotAllowed")


def test_api_server_that_talks_nonsense(gate: Gate, upstream: Upstream, version: str) -> None:
    def nonsense(exchange: Exchange) -> None:
        exchange.wire.send(b"nonsense\r\n\r\n")
        exchange.leave()

    upstream.at("/nonsense", nonsense)
    message = assert_status(gate.ask(version, "GET", "/nonsense"), 502, "BadGateway")
    assert "whether it acted is not known" in message


def test_api_server_that_does_not_answer_in_time(gate: Gate, upstream: Upstream, version: str) -> None:
    upstream.at("/slow", late(0.6))
    assert_status(gate.ask(version, "POST", "/slow", body=b"{}"), 504, "Timeout")


def test_no_api_server_there(version: str) -> None:
    with Gate(plan(Endpoint("127.0.0.1", free_port("127.0.0.1")))) as gate:
        message = assert_status(gate.ask(version, "GET", "/"), 503, "ServiceUnavailable")
    assert "no API server of this cluster can be reached" in message


def padding(size: int) -> list[tuple[str, str]]:
    """Headers of about so many bytes in all, none of them large."""
    return [(f"X-Padding-{number}", "p" * 1000) for number in range(size // 1016)]


@pytest.mark.parametrize("size", [33_600, 36_000, 38_500])
def test_too_large_headers_get_431(gate: Gate, upstream: Upstream, version: str, size: int) -> None:
    message = assert_status(gate.ask(version, "GET", "/431", *padding(size)), 431, "RequestHeaderFieldsTooLarge")
    assert "32 KB" in message
    assert not upstream.seen("/431")


def test_one_too_large_header_gets_431(gate: Gate, version: str) -> None:
    answer = gate.ask(version, "GET", "/431", ("Authorization", "Bearer " + "t" * 37_000))
    assert_status(answer, 431, "RequestHeaderFieldsTooLarge")


@pytest.mark.parametrize("header", [padding(31_500), [("Authorization", "Bearer " + "t" * 31_500)]], ids=["many", "one"])
def test_large_headers_pass(gate: Gate, upstream: Upstream, version: str, header: list[tuple[str, str]]) -> None:
    path = f"/large-{version}-{len(header)}"
    assert gate.ask(version, "GET", path, *header).status == 200
    [arrived] = upstream.seen(path)
    assert [arrived.values(name.lower()) for name, _ in header] == [[value] for _, value in header]


def test_four_hundred_headers_pass(gate: Gate, version: str) -> None:
    headers = [(f"Impersonate-Extra-{number}", "v") for number in range(400)]
    assert gate.ask(version, "GET", "/many", *headers).status == 200


def test_headers_larger_than_the_buffer_are_cut_off(gate: Gate, upstream: Upstream) -> None:
    """HAProxy's own parser answers here, and it has no body of ours."""
    for size in (42_000, 80_000):
        assert gate.ask("h1", "GET", "/beyond", *padding(size)).status == 400
        with pytest.raises((Refused, OSError)):
            gate.ask("h2", "GET", "/beyond", *padding(size))
    assert not upstream.seen("/beyond")


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "encoded"])
def test_a_long_command_in_the_url_passes(gate: Gate, upstream: Upstream, version: str, encoded: bool) -> None:
    command = "/bin/sh -c '" + "echo \u00e9;" * (1_850 if encoded else 2_850) + "'"
    quoted = urllib.parse.quote(command, safe="") if encoded else command.replace(" ", "+").replace("\u00e9", "e")
    target = f"/api/v1/namespaces/default/pods/long-{version}-{encoded}/exec?command={quoted}&stdout=true"
    assert len(target) > (29_000 if encoded else 20_000)
    headers = [TOKEN, ("User-Agent", "kubectl/v1.34.1 (linux/amd64) kubernetes/abcdef"), ("Accept", "application/json, */*")]
    assert gate.ask(version, "GET", target, *headers).status == 200
    assert upstream.seen(target.partition("?")[0])[0].target == target


def test_a_long_url_and_large_headers_pass_together(gate: Gate, upstream: Upstream, version: str) -> None:
    target = f"/together-{version}?" + "q" * 20_000
    assert gate.ask(version, "GET", target, *padding(18_000)).status == 200
    assert upstream.seen(f"/together-{version}")[0].target == target


@pytest.mark.parametrize("size", [3_200_000, 20_000_000], ids=["3MB", "20MB"])
def test_the_gate_has_no_body_limit(gate: Gate, upstream: Upstream, version: str, size: int) -> None:
    path = f"/body-{version}-{size}"
    assert gate.ask(version, "POST", path, body=b"b" * size).status == 200
    assert len(upstream.seen(path)[0].body) == size
