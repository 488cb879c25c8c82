"""Clusters whose TLS passes unopened beside others whose TLS is opened, behind one port: told apart by the name in TLS."""

import contextlib
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubegate.system.network import free_port
from tests.support.expose import Home, home
from tests.support.forge import CLIENT, forge
from tests.support.rawhttp import Client, request
from tests.support.run import Document, Running, client, cluster, gate_file, run
from tests.support.tls import API_NAME, client_context, cluster_authority, server_context, whole
from tests.support.upstream import Exchange, Upstream, eventually, websocket
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy

Chop = Callable[[bytes], list[bytes]]
_ALPN_BYTES = 256


@dataclass
class World:
    """A gate whose first listener leads to an opened and a sealed cluster, the second one to sealed ones only."""

    gate: Running
    opened: Upstream
    sealed: Upstream

    def sealed_client(
        self, *, name: str = "sealed.test", context: ssl.SSLContext | None = None, source: str = "127.0.0.1"
    ) -> Client:
        """A connection whose TLS ends at the API server of the sealed cluster."""
        sock = socket.create_connection(("127.0.0.1", self.gate.port), source_address=(source, 0))
        try:
            return Client(Wire(sock, context or trusting(), name=name))
        except OSError:
            sock.close()
            raise


def trusting() -> ssl.SSLContext:
    """What a client of the sealed cluster trusts; the name that leads there is not one of the certificate."""
    context = client_context(cluster_authority())
    context.check_hostname = False
    return context


def declared(place: Home, opened: Upstream, sealed: Upstream, **more: Any) -> Document:
    return gate_file(
        place.path,
        cluster(place.path, "one", opened),
        cluster(place.path, "sealed", sealed, mode="passthrough", **more),
        listener={"defaultCluster": "one"},
    )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    leaf = forge("kube-apiserver", cluster_authority(), names=[API_NAME, "sealed.test"])
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(home())
        opened = stack.enter_context(Upstream())
        sealed = stack.enter_context(Upstream(context=server_context(leaf, cluster_authority())))
        document = declared(place, opened, sealed)
        document["clusters"].append(cluster(place.path, "deep", sealed, mode="passthrough"))
        address = f"127.0.0.1:{free_port('127.0.0.1')}"
        document["listeners"].append({"name": "closed", "address": address, "clusters": ["sealed", "deep"]})
        gate = stack.enter_context(run(document, place))
        gate.until_up("one")
        gate.until_up("sealed")
        yield World(gate, opened, sealed)


def test_a_client_certificate_reaches_the_sealed_cluster(world: World) -> None:
    context = trusting()
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(whole(forge("jane", cluster_authority(), organizations=["dev"], usages=(CLIENT,))))
        context.load_cert_chain(file.name)
    with world.sealed_client(context=context) as connection:
        assert ("DNS", "sealed.test") in connection.wire.peer["subjectAltName"]
        assert connection.ask(request("GET", "/as-jane", host="sealed.test")).status == 200
    [arrived] = world.sealed.seen("/as-jane")
    assert (("commonName", "jane"),) in arrived.wire.peer["subject"]


@pytest.mark.parametrize("name", ["sealed.test", "SEALED.test", "Sealed.Test."])
def test_names_in_the_greeting_are_compared_without_case_and_dot(world: World, name: str) -> None:
    with world.sealed_client(name=name) as connection:
        assert connection.ask(request("GET", "/by-name", host=name)).json["server"] == world.sealed.port


def test_every_byte_to_the_sealed_cluster_passes_untouched(world: World) -> None:
    sent = request("GET", "/untouched", "X-Remote-User: joe", "Connection: Impersonate-User", "a_b: c", host="one.test")
    with world.sealed_client() as connection:
        assert connection.ask(sent).status == 200
    assert world.sealed.seen("/untouched")[0].head == sent


def test_the_callers_address_survives_the_hop(world: World) -> None:
    address = ("127.0.0.1", world.gate.port)
    for source in ("127.0.0.1", "127.0.0.77"):
        with Client(Wire(socket.create_connection(address, source_address=(source, 0)), client(), name="one.test")) as connection:
            assert connection.ask(request("GET", f"/from/{source}", host="one.test")).status == 200
        [arrived] = world.opened.seen(f"/from/{source}")
        assert arrived.values("x-forwarded-for") == [source]


def test_the_hop_exists_only_while_a_listener_needs_it() -> None:
    with home() as place, Upstream() as opened, Upstream() as sealed:
        document = declared(place, opened, sealed)

        def hops(gate: Running) -> bool:
            """Whether what runs has the hop."""
            return "accept-proxy" in (gate.folders.kept / "current" / "haproxy.cfg").read_text()

        with run(document, place) as gate:
            assert hops(gate)
            gate.edit(lambda document: document["clusters"].pop())
            assert not hops(gate)
            assert gate.ask("/").status == 200
            gate.edit(lambda now: now["clusters"].append(document["clusters"][1]))
            assert hops(gate)
            gate.edit(lambda now: [now["listeners"][0].pop("defaultCluster"), now["clusters"].pop(0)])
            assert not hops(gate)


class Chopped(socket.socket):
    """A socket that sends the TLS greeting in pieces."""

    def __init__(self, port: int, chop: Chop, pause: float = 0.0) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.connect(("127.0.0.1", port))
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._chop: Chop | None = chop
        self._pause = pause

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        chop, self._chop = self._chop, None
        for piece in chop(data) if chop else [data]:
            super().sendall(piece, flags)
            # So that they arrive one by one.
            time.sleep(self._pause)


def bytewise(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def slices(data: bytes) -> list[bytes]:
    size = len(data) // 20 + 1
    return [data[n : n + size] for n in range(0, len(data), size)]


def halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


def after_header(data: bytes) -> list[bytes]:
    """The first piece is enough to see that it is a greeting, and not enough to see a name."""
    return [data[:11], data[11:]]


def records(data: bytes) -> list[bytes]:
    """The same greeting in TLS records of at most 40 bytes (RFC 8446, 5.1)."""
    message = b""
    while data:
        size = int.from_bytes(data[3:5], "big")
        message, data = message + data[5 : 5 + size], data[5 + size :]
    parts = [message[n : n + 40] for n in range(0, len(message), 40)]
    return [b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)]


def hello_of(context: ssl.SSLContext, size: int) -> ssl.SSLContext:
    """Let the greeting be at least so large."""
    names = [f"{number:0255d}" for number in range(size // _ALPN_BYTES + 1)]
    context.set_alpn_protocols([*names, "http/1.1"])
    return context


@pytest.mark.parametrize(
    ("chop", "pause", "size"),
    [
        (bytewise, 0.0, 0),
        (bytewise, 0.0, 2000),
        (slices, 0.01, 2000),
        (slices, 0.01, 14000),
        (after_header, 0.3, 0),
        (after_header, 0.3, 14000),
    ],
    ids=[
        "bytewise",
        "bytewise-post-quantum",
        "slowly-post-quantum",
        "slowly-full-record",
        "header-first",
        "header-first-full-record",
    ],
)
def test_a_greeting_may_come_in_pieces_and_be_large(world: World, chop: Chop, pause: float, size: int) -> None:
    for name, context, upstream in (
        ("sealed.test", trusting(), world.sealed),
        ("one.test", client(), world.opened),
        (None, client(verify=False), world.opened),
    ):
        sock = Chopped(world.gate.port, chop, pause)
        with Client(Wire(sock, hello_of(context, size), name=name)) as connection:
            assert connection.ask(request("GET", "/pieces", host=name or "127.0.0.1")).json["server"] == upstream.port


def test_a_greeting_larger_than_a_record_leads_to_its_cluster(world: World) -> None:
    for name, context, upstream in (("sealed.test", trusting(), world.sealed), ("one.test", client(), world.opened)):
        with Client(Wire(Chopped(world.gate.port, halves), hello_of(context, 20000), name=name)) as connection:
            assert connection.ask(request("GET", "/larger", host=name)).json["server"] == upstream.port


@pytest.mark.parametrize("name", ["sealed.test", "one.test"])
def test_a_greeting_in_records_too_small_to_show_a_name_is_refused(world: World, name: str) -> None:
    """Permitted by TLS and done by nobody; HAProxy reads names in the first record only."""
    context = client(verify=False)
    with Chopped(world.gate.port, records) as sock, pytest.raises((OSError, ssl.SSLError)):
        Wire(sock, context, name=name)


NO_TLS = {
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: sealed.test\r\n\r\n",
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a PROXY line": b"PROXY TCP4 10.0.0.1 10.0.0.2 1111 443\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": bytes(600),
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28" + bytes(20),
    "application data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "a greeting without an end": b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03" + bytes(36) + b"\xff\xff",
}


@pytest.mark.parametrize("listener", ["main", "closed"])
@pytest.mark.parametrize("sent", NO_TLS.values(), ids=NO_TLS)
def test_what_is_no_tls_greeting_is_refused(world: World, listener: str, sent: bytes) -> None:
    before = len(world.sealed.requests), len(world.opened.requests)
    with Wire.connect("127.0.0.1", world.gate.port_of(listener)) as wire:
        wire.send(sent)
        assert wire.receive_rest() == b""
    assert (len(world.sealed.requests), len(world.opened.requests)) == before


def test_who_says_nothing_or_never_ends_the_greeting_is_sent_away(world: World) -> None:
    """Within ten seconds; the parts are those after which a connection could be taken for one without a name."""
    with contextlib.ExitStack() as stack:
        waiting = []
        for part in (b"", b"\x16", greeting("sealed.test")[:11], greeting("sealed.test")[:-1]):
            wire = stack.enter_context(Wire.connect("127.0.0.1", world.gate.port))
            wire.send(part)
            waiting.append(wire)
        assert [wire.receive_rest() for wire in waiting] == [b""] * 4


def greeting(name: str) -> bytes:
    """What a client of TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", [None, "unknown.test", "one.test"])
def test_where_nothing_is_opened_an_unknown_name_is_sent_away(world: World, name: str | None) -> None:
    with socket.create_connection(("127.0.0.1", world.gate.port_of("closed"))) as sock, pytest.raises((OSError, ssl.SSLError)):
        Wire(sock, trusting(), name=name)
    with Wire.connect("127.0.0.1", world.gate.port_of("closed"), trusting(), "deep.test") as wire:
        assert Client(wire).ask(request("GET", "/closed", host="deep.test")).status == 200


def test_http_2_is_spoken_through_the_hop(world: World) -> None:
    with world.gate.dial2("one.test") as connection:
        streams = [connection.start("GET", f"/h2/{number}", host="one.test") for number in range(20)]
        assert [connection.answer(stream).json["target"] for stream in streams] == [f"/h2/{number}" for number in range(20)]


def test_upgrades_and_half_closed_streams_pass_the_hop(world: World) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.switch("SPDY/3.1")
        data = b""
        while more := exchange.receive():
            data += more
        exchange.wire.send(b"after the end: " + data)

    def greet(exchange: Exchange) -> None:
        websocket(exchange, early=b"hello")
        exchange.wire.send(exchange.receive())

    world.opened.at("/spdy", echo)
    world.opened.at("/websocket", greet)
    with world.gate.dial("one.test") as connection:
        sent = request("POST", "/spdy", "Connection: Upgrade", "Upgrade: SPDY/3.1", host="one.test")
        connection.wire.send(sent + b"early")
        assert connection.head().status == 101
        connection.wire.send(b", late")
        connection.wire.end()
        assert connection.rest() == b"after the end: early, late"
    with world.gate.dial("one.test") as connection:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        connection.wire.send(
            request(
                "GET",
                "/websocket",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                key,
                host="one.test",
            )
        )
        assert connection.head().status == 101
        assert connection.exactly(5) == b"hello"
        connection.wire.send(b"again")
        assert connection.exactly(5) == b"again"


def test_the_end_of_one_direction_reaches_the_sealed_cluster_and_the_other_goes_on(world: World) -> None:
    def count(exchange: Exchange) -> None:
        exchange.switch("SPDY/3.1")
        data = b""
        while more := exchange.receive():
            data += more
        for part in (b"after ", b"the end: ", data):
            exchange.wire.send(part)

    world.sealed.at("/half", count)
    with world.sealed_client() as connection:
        connection.wire.send(request("POST", "/half", "Connection: Upgrade", "Upgrade: SPDY/3.1", host="sealed.test"))
        assert connection.head().status == 101
        connection.wire.send(b"everything")
        connection.wire.end()
        connection.wire.socket.shutdown(socket.SHUT_WR)
        assert connection.rest() == b"after the end: everything"


def test_the_ranges_of_a_sealed_cluster_hold() -> None:
    with home() as place, Upstream() as opened, Upstream() as sealed:
        document = declared(place, opened, sealed, allow=["127.0.0.1", "127.0.9.0/24"])
        with run(document, place) as gate:
            gate.until_up("sealed")
            world = World(gate, opened, sealed)
            for source in ("127.0.0.1", "127.0.9.8"):
                with world.sealed_client(source=source) as connection:
                    assert connection.ask(request("GET", "/allowed", host="sealed.test")).status == 200
            with pytest.raises((OSError, ssl.SSLError)):
                world.sealed_client(source="127.0.8.8")
            gate.edit(lambda document: document["clusters"][1].update(allow=["127.0.8.8"]))
            assert gate.status().reloads == 0
            with world.sealed_client(source="127.0.8.8") as connection:
                assert connection.ask(request("GET", "/allowed", host="sealed.test")).status == 200
            with pytest.raises((OSError, ssl.SSLError)):
                world.sealed_client()
            assert gate.ask("/").status == 200


def test_the_connections_of_a_sealed_cluster_are_limited_and_the_limit_changes_while_it_runs() -> None:
    with home() as place, Upstream() as opened, Upstream() as sealed, contextlib.ExitStack() as stack:
        document = declared(place, opened, sealed, limits={"connections": 2})
        gate = stack.enter_context(run(document, place))
        gate.until_up("sealed")
        world = World(gate, opened, sealed)
        first, _ = (stack.enter_context(world.sealed_client()) for _ in range(2))
        with pytest.raises((OSError, ssl.SSLError)):
            world.sealed_client()
        first.wire.close()
        eventually(lambda: gate.cluster("sealed").carried == 1)
        stack.enter_context(world.sealed_client())
        gate.edit(lambda document: document["clusters"][1].update(limits={"connections": 3}))
        assert gate.status().reloads == 0
        third = stack.enter_context(world.sealed_client())
        assert third.ask(request("GET", "/third", host="sealed.test")).status == 200
        with pytest.raises((OSError, ssl.SSLError)):
            world.sealed_client()
        assert gate.ask("/").status == 200
