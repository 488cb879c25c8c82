"""The PROXY protocol: load balancers that are declared say who calls, and are believed; nobody else is.

As the protocol's document has it: versions 1 (2.1) and 2 (2.2), a receiver must not guess whether a line comes (2).
"""

import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kubegate.system.network import free_port
from tests.support.expose import home
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Running, client, cluster, gate_file, run
from tests.support.tls import client_context, cluster_authority
from tests.support.upstream import Upstream
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy

SENDER, STRANGER = "127.0.0.65", "127.0.0.9"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def first_version(source: str) -> bytes:
    kind, to = ("TCP6", "2001:db8::1") if ":" in source else ("TCP4", "192.0.2.1")
    return f"PROXY {kind} {source} {to} 5000 443\r\n".encode()


def second_version(source: str, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    to = ipaddress.ip_address("2001:db8::1" if address.version == 6 else "192.0.2.1")
    body = address.packed + to.packed + struct.pack("!HH", 5000, 443) + more
    return SIGNATURE + bytes([0x21, 0x21 if address.version == 6 else 0x11]) + struct.pack("!H", len(body)) + body


@dataclass
class World:
    """A gate with two listeners that hear the same senders: `plain`, and `mixed`, which passes a cluster through as well."""

    gate: Running
    opened: Upstream
    sealed: Upstream

    def dial(self, line: bytes, *, listener: str, source: str = SENDER, name: str = "one.test") -> Client:
        """A connection from `source` that begins with `line`. Raises OSError if it is refused."""
        sock = socket.create_connection(("127.0.0.1", self.gate.port_of(listener)), source_address=(source, 0))
        context = client()
        if name == "sealed.test":
            context = client_context(cluster_authority())
            context.check_hostname = False
        try:
            sock.sendall(line)
            return Client(Wire(sock, context, name=name))
        except OSError:
            sock.close()
            raise

    def ask(self, line: bytes, path: str, *, listener: str, source: str = SENDER, name: str = "one.test") -> Answer:
        with self.dial(line, listener=listener, source=source, name=name) as connection:
            return connection.ask(request("GET", path, host=name))

    def seen_as(self, line: bytes, path: str, *, listener: str, source: str = SENDER) -> list[str]:
        """What the API server learns of the caller's address."""
        assert self.ask(line, path, listener=listener, source=source).status == 200
        return self.opened.seen(path)[-1].values("x-forwarded-for")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(home())
        opened, sealed = stack.enter_context(Upstream()), stack.enter_context(Upstream())
        callers = ["198.51.100.0/24", "2001:db8:7::/48"]
        document = gate_file(
            place.path,
            cluster(place.path, "one", opened),
            cluster(place.path, "guarded", opened, allow=callers),
            cluster(place.path, "sealed", sealed, mode="passthrough", allow=callers),
            listener={"name": "plain", "clusters": ["one", "guarded"], "proxyProtocol": {"from": ["127.0.0.64/26"]}},
        )
        address = f"127.0.0.1:{free_port('127.0.0.1')}"
        document["listeners"].append({"name": "mixed", "address": address, "proxyProtocol": {"from": ["127.0.0.64/26"]}})
        gate = stack.enter_context(run(document, place))
        for name in ("one", "guarded", "sealed"):
            gate.until_up(name)
        yield World(gate, opened, sealed)


@pytest.fixture(params=["plain", "mixed"])
def listener(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("source", ["203.0.113.9", "10.0.0.1", "2001:db8::5"])
@pytest.mark.parametrize("line", [first_version, second_version])
def test_the_address_in_the_line_is_the_callers(world: World, listener: str, line: object, source: str) -> None:
    assert callable(line)
    assert world.seen_as(line(source), "/line", listener=listener) == [source]


def test_what_the_client_itself_says_of_its_address_does_not_count(world: World, listener: str) -> None:
    with world.dial(first_version("203.0.113.9"), listener=listener) as connection:
        sent = request(
            "GET", "/forged", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", "X-Real-Ip: 1.2.3.4", host="one.test"
        )
        assert connection.ask(sent).status == 200
    [arrived] = world.opened.seen("/forged")[-1:]
    assert arrived.values("x-forwarded-for") == ["203.0.113.9"]
    assert not arrived.values("forwarded") + arrived.values("x-real-ip")


@pytest.mark.parametrize("line", [first_version, second_version])
@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("198.51.100.7", True),
        ("198.51.101.7", False),
        ("127.0.0.1", False),
        (SENDER, False),
        ("2001:db8:7::1", True),
        ("2001:db8:8::1", False),
        ("::ffff:198.51.100.7", True),
        ("::ffff:198.51.101.7", False),
    ],
)
def test_ranges_are_held_against_the_address_in_the_line(
    world: World, listener: str, line: object, source: str, allowed: bool
) -> None:
    assert callable(line)
    answer = world.ask(line(source), "/ranges", listener=listener, name="guarded.test")
    assert answer.status == (200 if allowed else 403)
    if listener == "mixed":
        if allowed:
            assert world.ask(line(source), "/ranges", listener=listener, name="sealed.test").status == 200
        else:
            with pytest.raises((OSError, ssl.SSLError)):
                world.dial(line(source), listener=listener, name="sealed.test")


@pytest.mark.parametrize("line", [first_version, second_version])
@pytest.mark.parametrize("name", ["one.test", "sealed.test"])
def test_a_line_from_anybody_else_is_refused(world: World, listener: str, line: object, name: str) -> None:
    assert callable(line)
    before = len(world.opened.requests), len(world.sealed.requests)
    with pytest.raises((OSError, ssl.SSLError)):
        world.dial(line("198.51.100.7"), listener=listener, source=STRANGER, name=name)
    assert (len(world.opened.requests), len(world.sealed.requests)) == before


def test_anybody_else_is_known_by_the_own_address(world: World, listener: str) -> None:
    assert world.seen_as(b"", "/direct", listener=listener, source=STRANGER) == [STRANGER]
    assert world.ask(b"", "/direct", listener=listener, source=STRANGER, name="guarded.test").status == 403


@pytest.mark.parametrize("name", ["one.test", "sealed.test"])
def test_a_sender_without_a_line_is_refused(world: World, listener: str, name: str) -> None:
    with pytest.raises((OSError, ssl.SSLError)):
        world.dial(b"", listener=listener, name=name)


WRONG = {
    "no addresses": b"PROXY TCP4\r\n",
    "the wrong family": b"PROXY TCP4 2001:db8:7::1 2001:db8::1 5000 443\r\n",
    "an unknown protocol": b"PROXY UDP4 198.51.100.7 192.0.2.1 5000 443\r\n",
    "lower case": b"proxy TCP4 198.51.100.7 192.0.2.1 5000 443\r\n",
    "a bare line feed": b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 443\n",
    "a line without an end": b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 443" + b" " * 200 + b"\r\n",
    "version 3": second_version("198.51.100.7").replace(b"QUIT\n\x21", b"QUIT\n\x31"),
    "an unknown command": second_version("198.51.100.7").replace(b"QUIT\n\x21", b"QUIT\n\x22"),
    "less than an address": SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
    "two lines": first_version("198.51.100.7") * 2,
    "two lines of version 2": second_version("198.51.100.7") * 2,
    "two versions": second_version("203.0.113.9") + first_version("198.51.100.7"),
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_a_line_that_is_none_is_refused(world: World, listener: str, line: bytes) -> None:
    before = len(world.opened.requests)
    with pytest.raises((OSError, ssl.SSLError, NoAnswer)):
        world.ask(line, "/wrong", listener=listener)
    assert len(world.opened.requests) == before


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\x00\x00"], ids=["unknown", "local"])
def test_a_sender_that_speaks_for_itself_is_known_by_its_own_address(world: World, listener: str, line: bytes) -> None:
    assert world.seen_as(line, "/itself", listener=listener) == [SENDER]


def test_a_line_may_say_more_than_addresses(world: World, listener: str) -> None:
    line = second_version("203.0.113.9", more=b"\x02\x00\x08evil.com\x05\x00\x04\x00\x01\x02\x03")
    assert world.seen_as(line, "/more", listener=listener) == ["203.0.113.9"]


def test_one_line_counts_for_the_whole_connection(world: World, listener: str) -> None:
    with world.dial(first_version("203.0.113.9"), listener=listener) as connection:
        for number in range(3):
            assert connection.ask(request("GET", f"/whole/{number}", host="one.test")).status == 200
    seen = world.opened.seen("/whole")[-3:]
    assert [one.values("x-forwarded-for") for one in seen] == [["203.0.113.9"]] * 3


def test_senders_change_while_it_runs() -> None:
    with home() as place, Upstream() as upstream:
        document = gate_file(place.path, cluster(place.path, "one", upstream), listener={"proxyProtocol": {"from": [SENDER]}})
        with run(document, place) as gate:
            gate.until_up("one")
            world = World(gate, upstream, upstream)
            line = first_version("203.0.113.9")
            assert world.seen_as(line, "/before", listener="main") == ["203.0.113.9"]
            gate.edit(lambda now: now["listeners"][0]["proxyProtocol"].update({"from": [STRANGER]}))
            assert gate.status().reloads == 0
            assert world.seen_as(line, "/after", listener="main", source=STRANGER) == ["203.0.113.9"]
            with pytest.raises((OSError, ssl.SSLError)):
                world.dial(line, listener="main")
            assert world.seen_as(b"", "/after", listener="main") == [SENDER]
            gate.edit(lambda now: now["listeners"][0].pop("proxyProtocol"))
            assert world.seen_as(b"", "/last", listener="main", source=STRANGER) == [STRANGER]
            with pytest.raises((OSError, ssl.SSLError)):
                world.dial(line, listener="main", source=STRANGER)
