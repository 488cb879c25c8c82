"""Nobody can say on behalf of the gate who is calling, or have that taken away; what is the caller's own passes as it is."""

import itertools

import pytest

from tests.support.gate import Gate, plan
from tests.support.rawhttp import request
from tests.support.upstream import Request, Upstream

pytestmark = pytest.mark.haproxy

BEARER = "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln_na-ture"
_numbers = itertools.count()


def passed(gate: Gate, upstream: Upstream, version: str, *headers: tuple[str, str]) -> Request:
    """The request with these headers as it arrived."""
    path = f"/passed-{next(_numbers)}"
    assert gate.ask(version, "GET", path, *headers).status == 200
    [arrived] = upstream.seen(path)
    return arrived


def refused(gate: Gate, upstream: Upstream, *headers: str) -> str:
    """That these header lines get a 400 and do not arrive; the message."""
    path = f"/refused-{next(_numbers)}"
    answer = gate.once(request("GET", path, *headers))
    assert answer.status == 400
    assert not upstream.seen(path)
    return str(answer.json["message"])


@pytest.mark.parametrize(
    "value",
    [
        "Impersonate-User",
        "close, Impersonate-User, Impersonate-Group, Authorization, X-Remote-User",
        "keep-alive ,\tIMPERSONATE-EXTRA-scopes",
        "x-remote-group",
        "X-Remote-Extra-a",
        "aUTHORIZATION",
        "Keep-Alive,authorization",
        "X-Forwarded-For",
        " \t x-real-ip\t",
        "foo,,,, Forwarded",
        "impersonate-uid;q=1",
    ],
)
def test_connection_that_names_an_identity_header_is_refused(gate: Gate, upstream: Upstream, value: str) -> None:
    assert "Connection header" in refused(gate, upstream, f"Connection: {value}", BEARER)
    refused(gate, upstream, "Connection: keep-alive", f"cOnNeCtIoN:{value}", BEARER)


@pytest.mark.parametrize("value", ["keep-alive", "close", "Keep-Alive, TE", "x-authorization-hint, my-impersonate"])
def test_connection_that_names_others_passes_but_goes_no_further(gate: Gate, upstream: Upstream, value: str) -> None:
    arrived = passed(gate, upstream, "h1", ("Connection", value), ("Authorization", "Bearer abc"))
    assert not arrived.values("connection")
    assert arrived.values("authorization") == ["Bearer abc"]


def test_connection_close_is_heeded(gate: Gate) -> None:
    with gate.h1() as client:
        answer = client.ask(request("GET", "/close", "Connection: close"))
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert client.ended()
    with gate.h1() as client:
        assert client.ask(request("GET", "/open", "Connection: keep-alive")).status == 200
        assert client.ask(request("GET", "/open")).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "Impersonate_User",
        "impersonate_group",
        "IMPERSONATE_UID",
        "Impersonate_Extra_scopes",
        "Impersonate_Extra-scopes",
        "Impersonate-Extra_foo",
        "X_Remote_User",
        "X-Remote_Group",
        "X_Remote-Extra-a",
        "x_remote_extra_a",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X_Forwarded-Proto",
        "X_Real_IP",
        "X-Real_IP",
    ],
)
def test_underscore_twin_is_refused(gate: Gate, upstream: Upstream, version: str, name: str) -> None:
    path = f"/twin-{next(_numbers)}"
    before = ("Accept", "*/*")
    for headers in ([(name, "joe")], [before, (name, "joe"), ("X-Other", "x")]):
        answer = gate.ask(version, "GET", path, *headers)
        assert answer.status == 400
        assert "underscore" in answer.json["message"]
    assert not upstream.seen(path)


def test_underscore_twin_before_any_other_header_is_refused(gate: Gate, upstream: Upstream) -> None:
    assert gate.once(b"GET /twin-first HTTP/1.1\r\nX_Remote_User: joe\r\nHost: gate.test\r\n\r\n").status == 400
    assert not upstream.seen("/twin-first")


def test_other_names_with_an_underscore_are_removed(gate: Gate, upstream: Upstream, version: str) -> None:
    names = ["my_header", "_", "Authorization_", "Content_Length", "not-x_remote_user", "my_impersonate_user", "trailing_"]
    arrived = passed(gate, upstream, version, *((name, "5") for name in names), ("X-Kept", "6"))
    assert sorted(arrived.headers) == sorted([("host", "gate.test"), ("x-kept", "6"), ("x-forwarded-for", "127.0.0.1")])


def test_impersonation_is_the_callers_own_affair(gate: Gate, upstream: Upstream, version: str) -> None:
    headers = [
        ("Impersonate-User", "jane@example.org"),
        ("Impersonate-Group", "dev, and ops"),
        ("Impersonate-Group", "system:authenticated"),
        ("Impersonate-Uid", "06f6ce97-e2c5-4ab8-7ba5-7654dd08d52b"),
        ("Impersonate-Extra-my_key", "some_value"),
        ("Impersonate-Extra-x_remote_user", "caller's own"),
        ("Impersonate-Extra-example.org%2fx", "v"),
        ("Authorization", "Bearer abc"),
    ]
    arrived = passed(gate, upstream, version, *headers)
    for name in {name.lower() for name, _ in headers}:
        assert arrived.values(name) == [value for key, value in headers if key.lower() == name]


def test_a_key_with_an_underscore_does_not_cover_for_a_twin(gate: Gate, upstream: Upstream) -> None:
    refused(gate, upstream, "Impersonate-Extra-my_key: v", "X_Remote_User: joe")


@pytest.mark.parametrize(
    "name",
    ["X-Remote-User", "x-REMOTE-group", "X-Remote-Extra-scopes", "X-Remote-Uid", "X-Remote-", "X-Real-Ip", "Forwarded"],
)
def test_what_only_a_proxy_may_say_is_removed(gate: Gate, upstream: Upstream, version: str, name: str) -> None:
    arrived = passed(gate, upstream, version, (name, "joe"), (name, "system:masters"), ("X-Remotely", "kept"))
    assert not arrived.values(name.lower())
    assert arrived.values("x-remotely") == ["kept"]


@pytest.mark.parametrize("sent", [[], ["1.2.3.4"], ["1.2.3.4, 5.6.7.8"], ["1.2.3.4", "5.6.7.8"]], ids=str)
def test_forwarded_for_is_the_callers_address_alone(gate: Gate, upstream: Upstream, version: str, sent: list[str]) -> None:
    arrived = passed(gate, upstream, version, *(("X-Forwarded-For", value) for value in sent))
    assert arrived.values("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "value", ["Bearer abc.def-_~+/=", "bearer  two  spaces", "Basic am9lOmpvZQ==", "Bearer a,b, c", "Bearer"]
)
def test_authorization_arrives_unchanged_and_nothing_is_added(gate: Gate, upstream: Upstream, version: str, value: str) -> None:
    arrived = passed(gate, upstream, version, ("Authorization", value), ("Accept", "application/json"))
    assert sorted(arrived.headers) == sorted(
        [("host", "gate.test"), ("authorization", value), ("accept", "application/json"), ("x-forwarded-for", "127.0.0.1")]
    )


def test_no_authorization_is_added(gate: Gate, upstream: Upstream, version: str) -> None:
    assert passed(gate, upstream, version).headers == [("host", "gate.test"), ("x-forwarded-for", "127.0.0.1")]


def test_two_authorization_headers_are_refused(gate: Gate, upstream: Upstream, version: str) -> None:
    path = f"/two-{version}"
    answer = gate.ask(version, "GET", path, ("Authorization", "Bearer a"), ("authorization", "Bearer b"))
    assert answer.status == 400
    assert "Authorization" in answer.json["message"]
    assert not upstream.seen(path)


def test_host_is_needed_once(gate: Gate, upstream: Upstream) -> None:
    assert gate.once(request("GET", "/no-host", host=None)).status == 400
    assert gate.once(request("GET", "/no-host", host=None, version="HTTP/1.0")).status == 400
    assert gate.once(request("GET", "/no-host", "Host: gate.test", "Host: other.test", host=None)).status == 400
    assert not upstream.seen("/no-host")
    assert gate.once(request("GET", "/host")).status == 200
    assert gate.once(request("GET", "/host", version="HTTP/1.0")).status == 200
    # HAProxy makes one of two that are alike.
    assert gate.once(request("GET", "/host", "Host: gate.test")).status == 200
    assert [arrived.values("host") for arrived in upstream.seen("/host")] == [["gate.test"]] * 3


@pytest.mark.parametrize("method", ["TRACE", "get", "Get", "PROPFIND", "PRI", "GETT", "M-SEARCH"])
def test_methods_of_no_api_are_refused(gate: Gate, upstream: Upstream, version: str, method: str) -> None:
    path = f"/method-{next(_numbers)}"
    assert gate.ask(version, method, path).status in (400, 405)
    assert not upstream.seen(path)


@pytest.mark.parametrize("target", ["gate.test:443", "10.0.0.1:6443", "/connect", "https://gate.test/connect"])
def test_connect_is_refused(gate: Gate, upstream: Upstream, target: str) -> None:
    before = len(upstream.requests)
    assert gate.once(request("CONNECT", target, host=target.split("/")[0])).status in (400, 405)
    assert gate.once(request("CONNECT", target)).status in (400, 405)
    assert len(upstream.requests) == before


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_methods_of_the_api_pass(gate: Gate, upstream: Upstream, version: str, method: str) -> None:
    path = f"/method-{method}-{version}"
    assert gate.ask(version, method, path).status == 200
    assert [arrived.method for arrived in upstream.seen(path)] == [method]


def test_a_body_with_any_method_passes(gate: Gate, upstream: Upstream, version: str) -> None:
    """A DELETE carries its options in a body, and clients send one with GET at times."""
    for method in ("DELETE", "GET"):
        path = f"/with-body-{method}-{version}"
        assert gate.ask(version, method, path, body=b'{"kind":"DeleteOptions"}').status == 200
        assert upstream.seen(path)[0].body == b'{"kind":"DeleteOptions"}'


def test_expect_continue_passes(gate: Gate, upstream: Upstream) -> None:
    with gate.h1() as client:
        client.wire.send(request("POST", "/expect", "Expect: 100-continue", "Content-Length: 4"))
        upstream.wait_for("/expect")
        client.wire.send(b"body")
        assert client.answer().status == 200
    assert upstream.seen("/expect")[0].body == b"body"


def test_a_refusal_ends_an_http_1_connection_and_no_http_2_connection(gate: Gate) -> None:
    with gate.h1() as client:
        assert client.ask(request("TRACE", "/")).header("connection") == "close"
        assert client.ended()
    with gate.h2() as other:
        streaming = other.start("POST", "/still-open", end=False)
        assert other.ask("TRACE", "/").status == 405
        assert not other.told_to_go
        other.send(streaming, b"{}", end=True)
        assert other.answer(streaming).status == 200


def test_a_caller_with_an_ipv6_address_is_named_by_it(upstream: Upstream, version: str) -> None:
    with Gate(plan(upstream.endpoint, listen="::1")) as gate:
        assert passed(gate, upstream, version, ("X-Forwarded-For", "1.2.3.4")).values("x-forwarded-for") == ["::1"]
