"""TLS passed through: the caller's TLS, client certificate and all, ends at the API server; the gate carries bytes."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forge import CLIENT, forge
from tests.support.gate import Gate, plan
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, api_leaf, client_context, cluster_authority, server_context, whole
from tests.support.upstream import Exchange, Upstream

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """An API server that asks for a client certificate."""
    with Upstream(context=server_context(api_leaf(), cluster_authority())) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(upstream: Upstream) -> Iterator[Gate]:
    with Gate(plan(upstream.endpoint, passthrough=True)) as gate:
        yield gate


def test_the_clients_certificate_arrives(gate: Gate, upstream: Upstream) -> None:
    context = client_context(cluster_authority())
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(whole(forge("jane", cluster_authority(), organizations=["dev"], usages=(CLIENT,))))
        context.load_cert_chain(file.name)
    with gate.through(context) as client:
        assert client.ask(request("GET", "/with-certificate")).status == 200
    [arrived] = upstream.seen("/with-certificate")
    assert (("commonName", "jane"),) in arrived.wire.peer["subject"]


def test_the_client_sees_the_api_servers_own_certificate(gate: Gate) -> None:
    with gate.through(client_context(cluster_authority())) as client:
        assert ("DNS", API_NAME) in client.wire.peer["subjectAltName"]


def test_every_byte_passes_untouched(gate: Gate, upstream: Upstream) -> None:
    sent = request(
        "GET", "/untouched", "X-Remote-User: joe", "Connection: Impersonate-User", "a_b: c", "X-Forwarded-For: 1.2.3.4"
    )
    with gate.through(client_context(cluster_authority())) as client:
        assert client.ask(sent).status == 200
    assert upstream.seen("/untouched")[0].head == sent


def test_streams_and_tunnels_pass(gate: Gate, upstream: Upstream) -> None:
    read = threading.Semaphore(1)

    def write(exchange: Exchange) -> None:
        exchange.begin()
        for number in range(5):
            assert read.acquire(timeout=10)
            exchange.chunk(b"%d" % number)
        exchange.chunk(b"")

    def echo(exchange: Exchange) -> None:
        exchange.switch("SPDY/3.1")
        data = b""
        while more := exchange.receive():
            data += more
        exchange.wire.send(b"after the end: " + data)

    upstream.at("/watch", write)
    upstream.at("/exec", echo)
    with gate.through(client_context(cluster_authority())) as client:
        client.wire.send(request("GET", "/watch?watch=true"))
        assert client.head().status == 200
        for number in range(5):
            assert client.chunk() == b"%d" % number
            read.release()
        assert client.chunk() == b""
        client.wire.send(request("POST", "/exec", "Connection: Upgrade", "Upgrade: SPDY/3.1") + b"early")
        assert client.head().status == 101
        client.wire.send(b", late")
        client.wire.end()
        assert client.rest() == b"after the end: early, late"


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_the_protocol_is_agreed_with_the_api_server(gate: Gate, upstream: Upstream, protocol: str) -> None:
    assert upstream.context is not None
    upstream.context.set_alpn_protocols([protocol])
    context = client_context(cluster_authority())
    context.set_alpn_protocols(["h2", "http/1.1"])
    with gate.through(context) as client:
        assert client.wire.tls is not None
        assert client.wire.tls.selected_alpn_protocol() == protocol
