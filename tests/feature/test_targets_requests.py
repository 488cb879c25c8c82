"""What is rendered for other engines, run by them: verification, streams, who may come, what is repeated, what is removed."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubegate.system.network import free_port
from tests.feature.test_upgrades import EVERY_BYTE, SPDY, WEBSOCKET, echo
from tests.support.engines import ENGINES, Running, engine_of, render
from tests.support.expose import home
from tests.support.forge import forge
from tests.support.rawhttp import NoAnswer, request
from tests.support.run import cluster, gate_file
from tests.support.tls import API_NAME, authority, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

STRANGER = forge("stranger", authority("another CA"), names=[API_NAME])
MISNAMED = forge("kubelet", cluster_authority(), names=["node-1"])
EXEC = "/api/v1/namespaces/default/pods/p/exec?command=sh"


@dataclass
class World:
    """An engine, and API servers: two of cluster `one`, one each of `other` (limits), `sealed` (passed through)."""

    engine: Running
    folder: Path
    one: Upstream
    two: Upstream
    other: Upstream
    sealed: Upstream

    def both(self, path: str) -> list[int]:
        """How many requests for a path have reached each API server of cluster `one`."""
        return [len(self.one.seen(path)), len(self.two.seen(path))]


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(home())
        one, two, other, sealed = (stack.enter_context(Upstream()) for _ in range(4))
        allow = ["127.0.0.0/30"]
        clusters = [
            cluster(place.path, "one", one, two, allow=allow, timeouts={"request": "2s", "stream": "30s"}),
            cluster(place.path, "other", other, limits={"connections": 2}, balance="roundrobin"),
            cluster(place.path, "sealed", sealed, mode="passthrough", allow=allow, limits={"connections": 2}),
        ]
        document = gate_file(place.path, *clusters, accessLog=str(place.path / "access.json"))
        document["listeners"].append(
            {"name": "opened", "address": f"127.0.0.1:{free_port('127.0.0.1')}", "clusters": ["one", "other"]}
        )
        folder, _ = render(request.param, document, place)
        engine = stack.enter_context(engine_of(request.param, folder, document))
        for name in ("one.test", "other.test", "sealed.test"):
            engine.until(200, name, verify=False)
        eventually(lambda: all(upstream.health_checks for upstream in (one, two, other, sealed)), "all were checked")
        yield World(engine, place.path, one, two, other, sealed)


@pytest.fixture(params=["main", "opened"])
def listener(request: pytest.FixtureRequest) -> str:
    """A listener with and without a cluster that is passed through."""
    return str(request.param)


@pytest.mark.parametrize(("method", "headers"), [("GET", WEBSOCKET), ("POST", SPDY)], ids=["websocket", "spdy"])
def test_exec_becomes_a_tunnel_that_carries_every_byte(world: World, listener: str, method: str, headers: list[str]) -> None:
    for upstream in (world.one, world.two):
        upstream.at("/api/v1/namespaces/default/pods/p/exec", echo)
    with world.engine.dial("one.test", listener=listener) as client:
        client.wire.send(request(method, EXEC, *headers, host="one.test"))
        answer = client.head()
        assert answer.status == 101
        assert answer.header("upgrade").lower() == headers[1].partition(" ")[2].lower()
        sender = threading.Thread(target=client.wire.send, args=(EVERY_BYTE,))
        sender.start()
        assert client.exactly(len(EVERY_BYTE)) == EVERY_BYTE
        sender.join()


@pytest.mark.parametrize(
    "headers", [["Connection: Upgrade", "Upgrade: foo"], ["Connection: Upgrade", "Upgrade: TLS/1.0"]], ids=str
)
def test_other_upgrades_are_refused(world: World, headers: list[str]) -> None:
    before = world.both("/other-upgrade")
    answer = world.engine.ask("/other-upgrade", "one.test", *headers)
    assert answer.status in (400, 403)
    assert "upgrade" in answer.json["message"]
    assert world.both("/other-upgrade") == before


def watch_slowly(exchange: Exchange) -> None:
    """An event, more silence than the timeout of requests allows, and another event."""
    exchange.begin()
    exchange.chunk(b"first")
    pause = threading.Event()
    pause.wait(3)
    exchange.chunk(b"second")
    exchange.chunk(b"")


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/pods?watch=true",
        "/api/v1/pods?limit=1&watch",
        "/api/v1/watch/pods",
        "/api/v1/pods?%77atch=1",
        "/api/v1/nodes/n/proxy/logs",
    ],
)
def test_watches_outlast_the_timeout_of_requests_and_arrive_event_by_event(world: World, target: str) -> None:
    for upstream in (world.one, world.two):
        upstream.at("/api/v1", watch_slowly)
    with world.engine.dial("one.test") as client:
        client.wire.send(request("GET", target, host="one.test"))
        assert client.head().status == 200
        assert client.chunk() == b"first"
        assert client.chunk() == b"second"
        assert client.chunk() == b""


def test_a_request_that_is_no_stream_does_not_wait_forever(world: World) -> None:
    def silent(exchange: Exchange) -> None:
        exchange.body()
        exchange.receive()
        exchange.leave()

    for upstream in (world.one, world.two):
        upstream.at("/silent", silent)
    answer = world.engine.ask("/silent", "one.test", method="POST", body=b"{}")
    assert (answer.status, answer.json["kind"], answer.json["code"]) == (504, "Status", 504)


def test_sources_that_are_not_allowed_get_a_status(world: World, listener: str) -> None:
    for source, status in (("127.0.0.2", 200), ("127.0.0.9", 403)):
        answer = world.engine.ask("/sources", "one.test", source=source, listener=listener)
        assert answer.status == status, source
    assert (answer.json["kind"], answer.json["reason"]) == ("Status", "Forbidden")
    assert "your address is not among those that may reach this cluster" in answer.json["message"]
    assert world.engine.ask("/sources", "other.test", source="127.0.0.9").status == 200, "the other cluster allows everybody"


def test_sources_that_are_not_allowed_pass_nothing_through(world: World) -> None:
    assert world.engine.ask("/through", "sealed.test", source="127.0.0.2", verify=False).status == 200
    with pytest.raises((OSError, NoAnswer)):
        world.engine.ask("/through", "sealed.test", source="127.0.0.9", verify=False)
    assert len(world.sealed.seen("/through")) == 1


def test_who_calls_is_told_to_the_api_server_and_nobody_else_says_so(world: World, listener: str) -> None:
    path = f"/identity-{listener}"
    forged = [
        "X-Remote-User: joe",
        "X-Remote-Group: system:masters",
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-Ip: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
    ]
    assert (
        world.engine.ask(path, "one.test", "Authorization: Bearer t", *forged, source="127.0.0.2", listener=listener).status
        == 200
    )
    [arrived] = world.one.seen(path) + world.two.seen(path)
    assert arrived.values("authorization") == ["Bearer t"]
    assert arrived.values("x-forwarded-for") == ["127.0.0.2"]
    assert arrived.values("host") == ["one.test"]
    for name in ("x-remote-user", "x-remote-group", "x-real-ip", "forwarded", "x-kubegate-sni"):
        assert not arrived.values(name), name


def test_names_that_imitate_identity_are_refused(world: World) -> None:
    answer = world.engine.ask("/twin", "one.test", "X_Remote_User: joe")
    assert answer.status == 400
    assert answer.json["kind"] == "Status"
    assert world.both("/twin") == [0, 0]


@pytest.mark.parametrize("path", ["/a/../b", "/a%2f..%2fb", "//double//slash", "/x%20y"])
def test_paths_stay_as_they_are(world: World, path: str) -> None:
    assert world.engine.ask(path, "one.test").status == 200
    assert {one.target for one in world.one.requests + world.two.requests} >= {path}


def drop(exchange: Exchange) -> None:
    """No answer at all."""
    exchange.leave()


def test_a_read_without_an_answer_is_tried_again_elsewhere_and_a_write_is_not(world: World) -> None:
    world.one.at("/dropped", drop)
    world.two.at("/dropped", drop)
    world.engine.ask("/dropped", "one.test")
    assert min(world.both("/dropped")) >= 1, "both were asked"
    before = sum(world.both("/dropped"))
    answer = world.engine.ask("/dropped", "one.test", method="POST", body=b"{}")
    assert answer.status in (502, 503)
    assert answer.json["kind"] == "Status"
    assert sum(world.both("/dropped")) == before + 1


@pytest.mark.parametrize("path", ["/api/v1/namespaces/d/pods/p/attach", "/api/v1/namespaces/d/pods/p/%65xec"])
def test_what_may_run_something_is_not_tried_again(world: World, path: str) -> None:
    for upstream in (world.one, world.two):
        upstream.at(path, drop)
    assert world.engine.ask(path, "one.test").status in (502, 503)
    assert sum(world.both(path)) == 1


def test_more_than_may_be_carried_is_told_to_wait(world: World) -> None:
    may_end = threading.Event()

    def held(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"held")
        may_end.wait(20)
        exchange.chunk(b"")

    world.other.at("/held", held)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(world.engine.dial("other.test"))
            client.wire.send(request("GET", "/held?watch=1", host="other.test"))
            assert client.head().status == 200
        answer = world.engine.ask("/one-more", "other.test")
        assert (answer.status, answer.json["reason"], answer.header("retry-after")) == (429, "TooManyRequests", "1")
        assert world.engine.ask("/elsewhere", "one.test").status == 200
        may_end.set()
        world.engine.until(200, "other.test")


def test_more_connections_than_may_be_passed_through_are_closed(world: World) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(world.engine.dial("sealed.test", verify=False))
            assert client.ask(request("GET", "/held", host="sealed.test")).status == 200
        with pytest.raises((OSError, NoAnswer)):
            world.engine.ask("/held", "sealed.test", verify=False)
    world.engine.until(200, "sealed.test", verify=False)


def test_each_request_is_a_line_of_the_access_log(world: World) -> None:
    world.engine.ask("/logged?secret=no", "one.test", 'User-Agent: "quoted"', "Authorization: Bearer hidden")
    log = world.folder / "access.json" if world.engine.engine == "envoy" else Path(f"{world.engine.folder}.log")
    eventually(lambda: '/logged?secret=no"' in log.read_text(), "it is written")
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    [found] = [line for line in lines if line.get("uri") == "/logged?secret=no"]
    assert (found["method"], found["status"], found["agent"], found["source"]) == ("GET", 200, '"quoted"', "127.0.0.1")
    assert "hidden" not in log.read_text()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("leaf", [STRANGER, MISNAMED], ids=["another-ca", "another-name"])
def test_whoever_does_not_prove_to_be_an_api_server_gets_no_request(engine: str, leaf: object) -> None:
    """Rendered while an honest one was there; then another one stands in its place, with another CA, or with a node's name."""
    with home() as place, Upstream() as honest:
        document = gate_file(place.path, cluster(place.path, "one", honest))
        folder, _ = render(engine, document, place)
        with engine_of(engine, folder, document) as running:
            running.until(200)
            honest.close()
            assert isinstance(leaf, type(STRANGER))
            with Upstream(leaf=leaf, port=honest.port) as other:
                running.until(503)
                answer = running.ask("/secret", "one.test", "Authorization: Bearer t")
                assert (answer.status, answer.json["reason"]) == (503, "ServiceUnavailable")
                assert not other.requests
                assert not other.health_checks
            honest.start()
            running.until(200)


@pytest.mark.parametrize("engine", ENGINES)
def test_verification_that_is_switched_off_is_said_and_then_nobody_has_to_prove_anything(engine: str) -> None:
    with home() as place, Upstream(leaf=STRANGER) as stranger:
        declared = cluster(place.path, "one", stranger)
        declared["upstream"] = {"servers": [str(stranger.endpoint)], "verification": "none"}
        document = gate_file(place.path, declared)
        folder, facts = render(engine, document, place)
        assert [one for one in facts["warnings"] if one["code"] == "insecure-upstream"]
        with engine_of(engine, folder, document) as running:
            running.until(200)
