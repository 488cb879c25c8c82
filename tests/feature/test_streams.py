"""Which requests are streams, and that what an API server writes on a stream arrives at once and outlives everything short."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.gate import Gate, edits, in_section, plan
from tests.support.rawhttp import request
from tests.support.upstream import Exchange, Upstream, late

pytestmark = pytest.mark.haproxy

KEY = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
PODS = "/api/v1/namespaces/default/pods"
CRONTABS = "/apis/stable.example.com/v1/crontabs"


def requests(table: str) -> list[str]:
    """Lines of a path and queries, each query making one request."""
    found = []
    for line in table.strip().splitlines():
        path, *queries = line.split()
        found += [f"{path}?{query}" for query in queries] or [path]
    return found


STREAMS = requests(
    f"""
    {PODS} watch watch= watch=yes watch=True watch=true watch=1 watch=2 watch=t watch=TRUE watch=no watch=00 watch=falsey
    {PODS} a=1&watch a=1&watch= a=1&watch=true watch&a=1 a&watch&b a=1&watch=1&b=2 watch=true&watch=false watch=true&x=%zz
    {PODS} limit=500&resourceVersion=0&watch=true&timeoutSeconds=300 w%61tch=1 %77atch w%61tch=1&follow=false
    {PODS} watch=false&watch=true x=%26watch=0&watch watch=fals%65
    {CRONTABS} watch watch=true a=1&watch
    /api/v1/watch/pods
    /api/v1/watch/namespaces/default/pods
    /api/v1/watch/nodes/x a=1
    /apis/apps/v1/watch/deployments
    /apis/apps/v1/watch/namespaces/default/deployments/x
    {PODS}/x/log follow follow= follow=true follow=1 follow=yes container=c&follow=true
    {PODS}/x/log tailLines=1&follow follow&tailLines=1 f%6fllow=true
    {PODS}/x/proxy
    {PODS}/x/proxy/
    {PODS}/x/proxy/metrics
    {PODS}/x/proxy/a/b c=d
    /api/v1/nodes/x/proxy/logs/
    /api/v1/namespaces/default/services/https:web:443/proxy/
    /api/v1/namespaces/proxy/pods
    """
)
OTHERS = requests(
    f"""
    /
    /api
    /api/v1
    /version
    /healthz
    /openapi/v3
    {PODS}
    {PODS}/x
    {CRONTABS}
    {PODS} watch=false watch=False watch=FALSE watch=0 watch=0&a=1 a=1&watch=false w%61tch=0 x=&watch=0&follow=FALSE&
    {PODS} watchers=1 watches nowatch=1 nowatch a=watch a=watch&b swatch=1&limit=5 Watch=1 watchfollow=1 follow-watch=1
    {PODS} labelSelector=watch labelSelector=watch%3Dtrue labelSelector=app%3Dwatch&limit=500 labelSelector=watch=true
    {PODS} labelSelector=w%61tch labelSelector=a%3Dwatch&x=%zz fieldSelector=metadata.name%3Dwatch limit=500&continue=abc
    /api/v1/namespaces/watch
    /api/v1/namespaces/watch/pods
    /api/v1/namespaces/watch/pods/watch
    {PODS}/watch
    /apis/apps/v1/namespaces/watch/deployments
    /apis/apps/v1/namespaces/watch/deployments/watch
    /apis/watch/v1/things
    {PODS}/x/log
    {PODS}/x/log follow=false follow=0 followers=1
    {PODS}/follow
    {PODS}/proxy-1
    {PODS}/proxy-1/log
    /apis/apps/v1/namespaces/default/deployments/kube-proxy
    """
)


@pytest.fixture(scope="module")
def gate(upstream: Upstream) -> Iterator[Gate]:
    """A gate that says which of its backends answered, and in which an ordinary answer must come at once."""
    name = "http-response set-header X-Test-Backend %[be_name]"
    edit = edits(in_section("backend test", name, "timeout server 400ms"), in_section("backend test:stream", name))
    with Gate(plan(upstream.endpoint), edit) as gate:
        yield gate


@pytest.mark.parametrize("target", STREAMS)
def test_this_is_a_stream(gate: Gate, target: str) -> None:
    assert gate.ask("h1", "GET", target).header("x-test-backend") == "test:stream"
    assert gate.ask("h2", "GET", target).header("x-test-backend") == "test:stream"


@pytest.mark.parametrize("target", OTHERS)
def test_this_is_none(gate: Gate, target: str) -> None:
    assert gate.ask("h1", "GET", target).header("x-test-backend") == "test"
    assert gate.ask("h2", "GET", target).header("x-test-backend") == "test"


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
def test_an_upgrade_is_a_stream(gate: Gate, protocol: str) -> None:
    asked = request("GET", f"{PODS}/x/exec", "Connection: Upgrade", f"Upgrade: {protocol}", *KEY)
    assert gate.once(asked).header("x-test-backend") == "test:stream"


@pytest.mark.parametrize("target", [f"{PODS}?watch=true", f"{PODS}/x/log?follow=true"], ids=["watch", "follow"])
def test_what_is_written_arrives_before_more_is_written(gate: Gate, upstream: Upstream, version: str, target: str) -> None:
    """Each line is written only when the one before has been read. If each waited for company, all would take 4 seconds."""
    read = threading.Semaphore(1)
    lines = [b'{"type":"ADDED","object":{"n":%d}}\n' % number for number in range(20)]

    def write(exchange: Exchange) -> None:
        exchange.begin()
        for line in lines:
            assert read.acquire(timeout=10)
            exchange.chunk(line)
        exchange.chunk(b"")

    upstream.at(PODS, write)
    began = time.monotonic()
    if version == "h1":
        with gate.h1() as client:
            client.wire.send(request("GET", target))
            assert client.head().status == 200
            for line in lines:
                assert client.chunk() == line
                read.release()
            assert client.chunk() == b""
    else:
        with gate.h2() as other:
            stream = other.start("GET", target)
            assert other.head(stream).status == 200
            for line in lines:
                assert other.data(stream) == line
                read.release()
            assert other.data(stream) == b""
    assert time.monotonic() - began < 2


def test_headers_of_a_watch_arrive_before_its_first_event(gate: Gate, upstream: Upstream, version: str) -> None:
    seen = threading.Event()

    def begin(exchange: Exchange) -> None:
        exchange.begin()
        assert seen.wait(10)
        exchange.chunk(b"")

    upstream.at("/api/v1/events", begin)
    target = "/api/v1/events?watch=true"
    if version == "h1":
        with gate.h1() as client:
            client.wire.send(request("GET", target))
            assert client.head().status == 200
            seen.set()
            assert client.chunk() == b""
    else:
        with gate.h2() as other:
            assert other.head(other.start("GET", target)).status == 200
            seen.set()


def test_a_silent_stream_outlives_the_time_for_ordinary_answers(gate: Gate, upstream: Upstream) -> None:
    """This gate gives an ordinary answer 400 ms: silence before and within a stream may last longer."""

    def silent(exchange: Exchange) -> None:
        time.sleep(0.7)
        exchange.begin()
        time.sleep(0.7)
        exchange.chunk(b"late")
        exchange.chunk(b"")

    upstream.at("/api/v1/silent", silent)
    assert gate.once(request("GET", "/api/v1/silent?watch=true")).body == b"late"
    upstream.at("/api/v1/slow", late(0.7))
    assert gate.once(request("GET", "/api/v1/slow")).status == 504


def test_a_watch_outlives_its_http2_connections_allowance_of_streams(upstream: Upstream) -> None:
    """After so many streams the client is told to use a new connection; what is open goes on to its end."""
    more = threading.Event()

    def write(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        assert more.wait(10)
        exchange.chunk(b"last")
        exchange.chunk(b"")

    upstream.at("/api/v1/long", write)
    fewer = lambda config: config.replace("max-total-streams 10000", "max-total-streams 20")  # noqa: E731
    with Gate(plan(upstream.endpoint), fewer) as gate, gate.h2() as client:
        watch = client.start("GET", "/api/v1/long?watch=true")
        assert client.head(watch).status == 200
        assert client.data(watch) == b"first"
        for _ in range(30):
            client.ask("GET", "/short")
            if client.told_to_go:
                break
        assert client.told_to_go
        more.set()
        assert client.data(watch) == b"last"
        assert client.data(watch) == b""
