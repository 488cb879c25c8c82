"""The filters of the local proxy in the real HAProxy: its conditions, its Lua and Python's answers say what the judge says."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from kubegate.model.filters import default_filters, read_denied
from kubegate.model.problem import InvalidInput
from kubegate.proxy import verdict_memo
from kubegate.render.haproxy.local.filters import lua
from kubegate.render.status_text import status_json
from tests.support.filter_lists import with_lists
from tests.support.filtered import Filtered
from tests.support.generated import Request, hosts, methods, paths, pattern_lists, queries, requests
from tests.support.rawh2 import Refused
from tests.support.rawhttp import Answer, request

pytestmark = pytest.mark.haproxy

NS = "/api/v1/namespaces/default"


DENIED = read_denied("--deny", ["secrets", "*/exec", "deployments.apps"])[0]
SETS = {
    "default": default_filters(),
    "sequences": with_lists(
        accept_hosts="^localhost$,corp$,^a.*b",
        accept_paths="^/api/.*,/exec$,^/ui$,a.*b",
        reject_paths="^/api/.*/secrets.*x,%,é,b$,//",
        reject_methods="^P,X",
    ),
    "re2": with_lists(
        accept_hosts="(?i)^(localhost|.*[.]corp)$", reject_paths="/(exec|attach)$,[^/a-z.]{2}", accept_paths="^/api,^/ui/\\d"
    ),
    "mixed": with_lists(accept_paths="^/api/,(x|y)$", accept_hosts="^localhost$,^[a-c]+$", reject_methods="^DEL"),
    "nothing": with_lists(accept_paths=""),
    "read-only": replace(default_filters(), read_only=True),
    "deny": replace(with_lists(reject_paths=""), deny=DENIED),
    "both": replace(default_filters(), read_only=True, deny=DENIED, disabled=True),
    "disabled": replace(default_filters(), disabled=True),
}


@pytest.fixture(scope="module", params=SETS, ids=str)
def proxy(request: pytest.FixtureRequest) -> Iterator[Filtered]:
    with Filtered(SETS[request.param]) as proxy:
        yield proxy


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=methods,
    host=hosts,
    path=paths,
    query=queries,
    upgrade=st.booleans(),
    length=st.sampled_from([None, 0, 2]),
)
def test_haproxy_decides_as_the_judge_does(
    proxy: Filtered, method: str, host: str, path: str, query: str, upgrade: bool, length: int | None
) -> None:
    headers = ["Upgrade: websocket", "Connection: Upgrade"] if upgrade else []
    target = f"{path}?{query}" if query else path
    answer = proxy.once(method, target, *headers, host=host, body=None if length is None else b"x" * length)
    if answer.header("content-type").startswith("text/html"):
        # It was not valid HTTP to HAProxy, whatever the rules say.
        assert answer.status == 400
        return
    verdict = proxy.judge.verdict(
        method,
        host.encode("latin-1").decode(errors="surrogateescape"),
        path.encode("latin-1"),
        query.encode(),
        upgrade=upgrade,
        body=bool(length),
    )
    assert answer.status == verdict.status
    if not verdict.allowed and method != "HEAD":
        assert answer.body.decode() == status_json(verdict.status, verdict.message)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=methods, host=hosts, path=paths, query=queries, body=st.sampled_from([b"", b"{}"]))
def test_in_http2_it_does_too(proxy: Filtered, method: str, host: str, path: str, query: str, body: bytes) -> None:
    raw_host, raw_path = host.encode("latin-1"), path.encode("latin-1")
    pseudo: list[tuple[str, str | bytes]] = [
        (":method", method),
        (":scheme", "http"),
        (":authority", raw_host),
        (":path", raw_path + (f"?{query}".encode() if query else b"")),
    ]
    with proxy.h2() as client:
        try:
            stream = client.send_fields(pseudo, end=not body)
            if body:
                client.send(stream, body)
            answer = client.answer(stream)
        except Refused:
            # It was not valid HTTP to HAProxy, whatever the rules say.
            return
    # HAProxy takes the port of the scheme, and an empty one, off an authority (RFC 3986, 6.2.3) before anything sees it.
    seen = re.sub(rb":(80)?\Z", b"", raw_host).decode(errors="surrogateescape")
    verdict = proxy.judge.verdict(method, seen, raw_path, query.encode(), body=True)
    assert answer.status == (400 if answer.header("content-type").startswith("text/html") else verdict.status)


# Each example starts a process: a failure is shown as it was found.
@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_haproxy_decides_as_the_judge_does_whatever_the_lists_are(data: st.DataObject) -> None:
    try:
        filters = with_lists(
            accept_hosts=data.draw(pattern_lists("^localhost$", ".*")),
            accept_paths=data.draw(pattern_lists("^.*", "^/api,/ui$")),
            reject_paths=data.draw(pattern_lists("", "exec")),
            reject_methods=data.draw(pattern_lists("", "^P")),
        )
    except InvalidInput:
        assume(False)
    read_only, asked = data.draw(st.booleans()), data.draw(st.lists(requests, min_size=20, max_size=20))
    with Filtered(replace(filters, read_only=read_only)) as proxy:
        for one in asked:
            decides_alike(proxy, one)


def decides_alike(proxy: Filtered, one: Request) -> None:
    answer = proxy.once(one.method, one.path, host=one.host)
    if answer.header("content-type").startswith("text/html"):
        assert answer.status == 400
        return
    host = one.host.encode("latin-1").decode(errors="surrogateescape")
    verdict = proxy.judge.verdict(one.method, host, one.path.encode("latin-1"), b"", body=False)
    assert answer.status == verdict.status, (one, verdict)


def test_an_ordinary_request_never_meets_lua_and_the_others_fail_closed_with_it() -> None:
    script = lua("/nowhere", default_filters()).replace("local found = judge(txn)", "error('broken')")
    with Filtered(default_filters(), script=script) as proxy:
        assert proxy.once("GET", "/api/v1/pods?watch=1", host="localhost:8001").status == 200
        assert proxy.once("POST", f"{NS}/pods", body=b"{}").status == 200
        for target, host in [(f"{NS}/pods/p/exec", "localhost"), ("/api/%76", "localhost"), ("/api", "evil.com")]:
            assert refused(proxy.once("GET", target, host=host), 503)


def refused(answer: Answer, status: int) -> bool:
    """Whether an answer is a Status that refuses."""
    return (
        answer.status == answer.json["code"] == status
        and answer.json["kind"] == "Status"
        and answer.header("connection") == "close"
    )


def test_ordinary_reads_are_decided_by_conditions_under_read_only_and_deny_too() -> None:
    filters = replace(default_filters(), read_only=True, deny=read_denied("--deny", ["secrets"])[0])
    with Filtered(filters) as proxy:
        for target in ("/api/v1/pods", f"{NS}/pods/p/log?follow=1", "/apis/apps/v1/deployments?watch=1", "/openapi/v3/api/v1"):
            assert proxy.once("GET", target).status == 200
        assert not proxy.asked


@pytest.mark.parametrize("target", [f"{NS}/pods/p/exec?command=ls", f"{NS}/pods/p/attach", "/api/v1/nodes/n/proxy/x"])
def test_a_websocket_is_a_get_and_read_only_closes_it(target: str) -> None:
    headers = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with Filtered(replace(with_lists(reject_paths=""), read_only=True)) as proxy:
        answer = proxy.once("GET", target, *headers)
        assert refused(answer, 403)
        assert "--read-only refuses this request" in answer.json["message"]


DRY = f"{NS}/pods/p?dryRun=All"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("DELETE", DRY, host="localhost"), 200),
        (request("DELETE", DRY, host="localhost", body=b""), 200),
        (request("DELETE", DRY, host="localhost", body=b"{}"), 403),
        (request("DELETE", DRY, "Transfer-Encoding: chunked", host="localhost") + b"2\r\n{}\r\n0\r\n\r\n", 403),
        (request("DELETE", DRY, "Transfer-Encoding: chunked", host="localhost") + b"0\r\n\r\n", 403),
    ],
)
def test_a_dry_deletion_passes_only_if_there_can_be_no_body(data: bytes, status: int) -> None:
    with Filtered(replace(default_filters(), read_only=True)) as proxy, proxy.h1() as client:
        assert client.ask(data).status == status


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [((("content-length", "0"),), b"", 200), ((), b"", 403), ((), b"{}", 403), ((("content-length", "2"),), b"{}", 403)],
)
def test_in_http2_only_a_length_says_that_there_is_none(fields: tuple[tuple[str, str], ...], body: bytes, status: int) -> None:
    with Filtered(replace(default_filters(), read_only=True)) as proxy, proxy.h2() as client:
        assert client.ask("DELETE", DRY, *fields, body=body, host="localhost").status == status


def test_what_python_has_decided_is_not_asked_again() -> None:
    with Filtered(with_lists(reject_paths="(exec|attach)")) as proxy:
        for _ in range(3):
            assert proxy.once("GET", "/api/v1/pods").status == 200
            assert refused(proxy.once("GET", f"{NS}/pods/p/exec"), 403)
        assert len(proxy.asked) == 2
        # Host, method and path count, a query does not where no rule looks at it.
        assert proxy.once("GET", "/api/v1/pods?limit=500").status == 200
        assert len(proxy.asked) == 2
        assert proxy.once("POST", "/api/v1/pods").status == 200
        assert refused(proxy.once("GET", "/api/v1/pods", host="evil.com"), 403)
        assert len(proxy.asked) == len(proxy.remembered()) == 4


def test_the_map_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_memo, "MOST", 10)
    with Filtered(with_lists(reject_paths="(exec|attach)")) as proxy:
        for number in range(25):
            assert proxy.once("GET", f"/api/v1/pods/{number}").status == 200
            assert len(proxy.remembered()) <= 10
        assert len(proxy.remembered()) == 5


def test_without_python_what_needs_it_is_refused_and_the_rest_passes() -> None:
    with Filtered(default_filters(), decides=False) as proxy:
        began = time.monotonic()
        assert refused(proxy.once("GET", "/api/v1/a%0ab"), 503)
        assert time.monotonic() - began < 3
        assert proxy.once("GET", "/api/v1/pods").status == 200
        assert refused(proxy.once("GET", f"{NS}/pods/p/exec"), 403)


def test_a_python_that_does_not_answer_is_waited_for_within_a_bound() -> None:
    with Filtered(default_filters(), decides=False) as proxy, proxy.instead(None):
        began = time.monotonic()
        assert refused(proxy.once("GET", "/api/v1/a%0ab"), 503)
        assert 4 < time.monotonic() - began < 8


@pytest.mark.parametrize("answer", [b"", b"ALLOW", b"allow ", b'500 "x"', b'200 "x"', b"403 x", b"403"])
def test_an_answer_that_is_none_lets_nothing_pass(answer: bytes) -> None:
    with Filtered(default_filters(), decides=False) as proxy, proxy.instead(answer):
        assert refused(proxy.once("GET", "/api/v1/a%0ab"), 503)


def test_a_path_as_long_as_haproxy_takes_is_decided() -> None:
    with Filtered(default_filters()) as proxy:
        assert refused(proxy.once("GET", f"{NS}/pods/{'p/' * 19_000}exec"), 403)
        assert refused(proxy.once("GET", f"/api/a%0a{'/pods/x' * 5400}/exec\n"[:-1] + "%"), 400)
        assert proxy.once("GET", f"/api/a%0a{'/pods/x' * 5400}/exec").status == 200


@pytest.mark.parametrize("target", [f"{NS}/pods/p/exec", "/apis/subresources.example.com/v1/namespaces/d/machines/m/console"])
def test_a_websocket_of_http2_is_closed_too(target: str) -> None:
    fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", target),
    ]
    with Filtered(replace(with_lists(reject_paths=""), read_only=True)) as proxy, proxy.h2() as client:
        stream = client.send_fields([*fields, ("sec-websocket-version", "13")], end=False)
        assert client.answer(stream).status == 403
        assert [question.split(b"\n")[4] for question in proxy.asked] == [b"upgrade,body"]
