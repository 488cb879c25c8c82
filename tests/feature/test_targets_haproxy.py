"""A stand-alone HAProxy: what only it can express of the targets, run by HAProxy of Debian and of the wheel."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kubegate.system.network import free_port
from tests.support.clients import declared, holding, person
from tests.support.engines import engine_of, render
from tests.support.expose import Home, home
from tests.support.forge import Forged
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import client, cluster, gate_file
from tests.support.tls import authority
from tests.support.upstream import Upstream, eventually
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy

ENGINES = ("haproxy-debian", "haproxy-wheel")
each = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@each
def test_metrics_are_haproxys_own_and_nothing_else_is_there(place: Home, engine: str) -> None:
    metrics = f"127.0.0.1:{free_port('127.0.0.1')}"
    with Upstream() as upstream:
        document = gate_file(place.path, cluster(place.path, "one", upstream), metrics={"address": metrics})
        folder, facts = render(engine, document, place)
        assert any("/metrics/kubegate is the control plane's" in note for note in facts["notes"])
        with engine_of(engine, folder, document) as running, httpx.Client(trust_env=False) as scraper:
            running.until(200)
            assert 'haproxy_frontend_http_requests_total{proxy="main"}' in scraper.get(f"http://{metrics}/metrics").text
            missing = scraper.get(f"http://{metrics}/metrics/kubegate")
            assert (missing.status_code, missing.json()["kind"]) == (404, "Status")


@each
def test_too_many_requests_of_one_address_are_told_to_wait(place: Home, engine: str) -> None:
    with Upstream() as upstream:
        document = gate_file(place.path, cluster(place.path, "one", upstream, limits={"requestsPerSecond": 5}))
        folder, _ = render(engine, document, place)
        with engine_of(engine, folder, document) as running:
            running.until(200, source="127.0.0.2")
            answers: list[Answer] = []
            with running.dial(source="127.0.0.3") as connection:
                while not answers or answers[-1].status == 200:
                    answers.append(connection.ask(request("GET", "/many", host="one.test")))
            assert len(answers) == 51
            assert (answers[-1].status, answers[-1].json["reason"]) == (429, "TooManyRequests")
            assert running.ask("/", source="127.0.0.4").status == 200, "another address has its own count"


@each
def test_the_proxy_protocol_is_taken_from_declared_addresses_alone(place: Home, engine: str) -> None:
    line = b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 6443\r\n"
    with Upstream() as upstream:
        listener = {"proxyProtocol": {"from": ["127.0.0.65"]}}
        document = gate_file(place.path, cluster(place.path, "one", upstream), listener=listener)
        folder, _ = render(engine, document, place)
        with engine_of(engine, folder, document) as running:
            running.until(200)
            assert from_address(running.port, "127.0.0.65", line).status == 200
            assert upstream.seen("/from")[-1].values("x-forwarded-for") == ["198.51.100.7"]
            with pytest.raises((OSError, NoAnswer)):
                from_address(running.port, "127.0.0.1", line)
            with pytest.raises((OSError, NoAnswer)):
                from_address(running.port, "127.0.0.65")
            assert len(upstream.seen("/from")) == 1


def from_address(port: int, source: str, before: bytes = b"") -> Answer:
    """A request from an address of this machine, after bytes that a load balancer sends."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    try:
        sock.sendall(before)
        wire = Wire(sock, client(), name="one.test")
    except BaseException:
        sock.close()
        raise
    with Client(wire) as connection:
        return connection.ask(request("GET", "/from", host="one.test"))


@each
def test_the_wildcard_means_both_families_and_the_numbers_are_those_declared(place: Home, engine: str) -> None:
    with Upstream() as upstream:
        port = free_port("127.0.0.1")
        process = {"maxConnections": 60, "threads": 2, "drain": "5s"}
        listener = {"address": f"[::]:{port}"}
        document = gate_file(place.path, cluster(place.path, "one", upstream), listener=listener, dataPlane=process)
        folder, _ = render(engine, document, place)
        text = (folder / "haproxy.cfg").read_text()
        for line in ("maxconn 60", "nbthread 2", "hard-stop-after 5s"):
            assert f"\n  {line}\n" in text
        with engine_of(engine, folder, document) as running:
            running.until(200)
            with Client.connect("::1", port, client(verify=False), "one.test") as connection:
                assert connection.ask(request("GET", "/", host="one.test")).status == 200


@each
def test_two_of_them_on_one_machine_do_not_meet(place: Home, engine: str) -> None:
    """Also where a listener hands connections on inside HAProxy, which takes a socket with a name."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("first", "second"):
            folder = place.path / name
            (folder / "run").mkdir(parents=True, mode=0o700)
            upstream, sealed = stack.enter_context(Upstream()), stack.enter_context(Upstream())
            clusters = (cluster(folder, "one", upstream), cluster(folder, "sealed", sealed, mode="passthrough"))
            document = gate_file(folder, *clusters)
            rendered, _ = render(engine, document, Home(folder))
            assert "unix@/tmp/kubegate-" in (rendered / "haproxy.cfg").read_text()
            found.append((stack.enter_context(engine_of(engine, Path(rendered), document)), upstream))
        for running, _ in found:
            running.until(200)
        for running, upstream in found:
            assert running.ask("/").json["server"] == upstream.port


@each
@pytest.mark.parametrize("several", [False, True], ids=["one-name", "two-names"])
def test_client_certificates_bind_and_no_session_is_resumed_past_them(place: Home, engine: str, several: bool) -> None:
    good, gone, foreign = person("alice"), person("gone"), person("alice", authority("another CA"))
    with Upstream() as upstream:
        clusters = [cluster(place.path, "one", upstream)]
        if several:
            clusters.append(cluster(place.path, "two", upstream, hosts=["two.test"]))
        document = gate_file(place.path, *clusters, listener=declared(place, gone))
        folder, facts = render(engine, document, place)
        assert any("revoked from now on are let in until it is rendered again" in note for note in facts["notes"])
        with engine_of(engine, folder, document) as running:
            running.until(401)
            eventually(lambda: shown(running.port, good)[0] == 200, "the API server was checked")
            assert [shown(running.port, leaf)[0] for leaf in (None, foreign, gone)] == [401, 401, 403]
            for name in ("one.test", "two.test") if several else ("one.test",):
                status, context, session = shown(running.port, good, name)
                wire = Wire(socket.create_connection(("127.0.0.1", running.port)), context, name=name, session=session)
                assert status == 200
                with wire:
                    assert wire.tls is not None
                    assert not wire.tls.session_reused


def shown(port: int, leaf: Forged | None, name: str = "one.test") -> tuple[int, ssl.SSLContext, ssl.SSLSession | None]:
    """The status that a client with this certificate gets, and what it would resume."""
    context = holding(leaf)
    wire = Wire(socket.create_connection(("127.0.0.1", port)), context, name=name)
    with Client(wire) as connection:
        status = connection.ask(request("GET", "/", host=name)).status
        assert wire.tls is not None
        return status, context, wire.tls.session
