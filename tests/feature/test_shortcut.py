"""An ordinary read takes a shortcut past the guards; nothing else does, whatever the connection has carried before."""

import contextlib
import itertools
from collections.abc import Sequence

import pytest

from tests.support.gate import Gate
from tests.support.rawh2 import Client, Refused
from tests.support.rawhttp import NoAnswer, request
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

USUAL = ("User-Agent: kubectl", "Authorization: Bearer abc")
FIELDS = [("user-agent", "kubectl"), ("authorization", "Bearer abc")]
_numbers = itertools.count()


def fresh() -> str:
    return f"/shortcut-{next(_numbers)}"


def approve(client: Client) -> None:
    """Let the connection carry ordinary reads, of which the second one takes the shortcut."""
    for _ in range(2):
        assert client.ask("GET", "/ordinary", *FIELDS).status == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("TRACE", USUAL, 405),
        ("get", USUAL, 405),
        ("GET", (*USUAL, "Authorization: Bearer other"), 400),
        ("GET", (*USUAL, "Connection: Authorization"), 400),
        ("GET", (*USUAL, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"), 400),
        ("GET", (*USUAL, "Connection: Upgrade", "Upgrade: other"), 400),
        ("GET", (*USUAL, "X_Remote_User: joe"), 400),
        ("POST", (*USUAL, "Content-Length: 18446744073709551616"), 400),
        ("GET", (USUAL[0], "Authorization: Bearer " + "t" * 33_000), 431),
    ],
)
def test_a_hostile_request_after_ordinary_ones_is_refused(
    gate: Gate, upstream: Upstream, method: str, headers: Sequence[str], status: int
) -> None:
    path = fresh()
    with gate.h1() as client:
        for _ in range(2):
            assert client.ask(request("GET", "/ordinary", *USUAL)).status == 200
        assert client.ask(request(method, path, *headers)).status == status
    assert not upstream.seen(path)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*FIELDS, ("authorization", "Bearer other")], 400),
        ([*FIELDS, ("x_remote_user", "joe")], 400),
        ([FIELDS[0], ("authorization", "Bearer " + "t" * 33_000)], 431),
    ],
)
def test_a_hostile_http2_request_after_ordinary_ones_is_refused(
    gate: Gate, upstream: Upstream, fields: Sequence[tuple[str, str]], status: int
) -> None:
    path = fresh()
    with gate.h2() as client:
        approve(client)
        assert client.ask("GET", path, *fields).status == status
        assert client.ask("GET", "/ordinary", *FIELDS).status == 200
    assert not upstream.seen(path)


@pytest.mark.parametrize("name", ["user-agent:authorization", "user-agent: authorization", "user-agent:"])
def test_names_cannot_be_made_to_look_like_others(gate: Gate, upstream: Upstream, name: str) -> None:
    """Names are compared with colons between them, so no name may hold one."""
    path = fresh()
    with gate.h2() as client:
        approve(client)
        with pytest.raises((Refused, NoAnswer)):
            client.ask("GET", path, (name, "x"))
    assert not upstream.seen(path)


def test_a_version_that_is_not_spoken_is_refused_after_ordinary_requests(gate: Gate, upstream: Upstream) -> None:
    path = fresh()
    for version in ("HTTP/1.2", "HTTP/3.0", "HTTP/0.9"):
        with gate.h1() as client:
            for _ in range(2):
                assert client.ask(request("GET", "/ordinary", *USUAL)).status == 200
            assert client.ask(request("GET", path, *USUAL, version=version)).status == 400
    assert not upstream.seen(path)


@pytest.mark.parametrize("name", ["X-Remote-User", "X-Real-Ip", "Forwarded", "X-Forwarded-For", "some_header"])
def test_what_only_a_proxy_may_say_is_removed_after_ordinary_requests(
    gate: Gate, upstream: Upstream, version: str, name: str
) -> None:
    """Every time: such a request makes none like it ordinary."""
    path = fresh()
    if version == "h1":
        with gate.h1() as client:
            for _ in range(3):
                assert client.ask(request("GET", path, *USUAL, f"{name}: joe")).status == 200
    else:
        with gate.h2() as other:
            approve(other)
            for _ in range(3):
                assert other.ask("GET", path, *FIELDS, (name.lower(), "joe")).status == 200
    for arrived in upstream.seen(path):
        assert "joe" not in [value for _, value in arrived.headers]
        assert arrived.values("x-forwarded-for") == ["127.0.0.1"]
    assert len(upstream.seen(path)) == 3


@pytest.mark.parametrize("end", ["/exec?command=sh", "/proxy/run", "/%65xec", "?watch=true", "/log?follow=true"])
def test_a_read_that_may_run_something_is_sent_once_after_ordinary_requests(gate: Gate, upstream: Upstream, end: str) -> None:
    path = fresh()
    upstream.at(path, lambda exchange: exchange.leave())
    with gate.h1() as client:
        for _ in range(2):
            assert client.ask(request("GET", "/ordinary", *USUAL)).status == 200
        # On a connection that was used before, HAProxy gives no answer at all.
        with contextlib.suppress(NoAnswer):
            assert client.ask(request("GET", f"{path}{end}", *USUAL)).status == 502
    assert len(upstream.seen(path)) == 1


def test_ordinary_reads_arrive_as_they_are(gate: Gate, upstream: Upstream, version: str) -> None:
    path = fresh()
    if version == "h1":
        with gate.h1() as client:
            for _ in range(3):
                assert client.ask(request("GET", path, *USUAL)).status == 200
    else:
        with gate.h2() as other:
            for _ in range(3):
                assert other.ask("GET", path, *FIELDS).status == 200
    arrived = upstream.seen(path)
    assert len(arrived) == 3
    assert len({tuple(sorted(one.headers)) for one in arrived}) == 1
    assert arrived[0].values("x-forwarded-for") == ["127.0.0.1"]
