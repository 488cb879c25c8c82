"""Where a gate listens: on loopback unless typed otherwise, over IPv4 and IPv6, and never unawares on every interface."""

import contextlib
import json
import re
import socket

import psutil
import pytest

from tests.support.expose import Exposed, Home, expose, home, kubeconfig, kubegate, problems
from tests.support.rawhttp import request
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy


@pytest.fixture
def flags(person: Home, upstream: Upstream) -> tuple[str, ...]:
    """Flags for an honest API server and a client kubeconfig."""
    config = kubeconfig(person.path / "config.yaml", f"https://127.0.0.1:{upstream.port}")
    return "--kubeconfig", str(config), "--out", str(person.path / "out.yaml")


def asked(gate: Exposed, name: str | None = None) -> int:
    """The status of a request through the gate, as the client kubeconfig has it."""
    with gate.dial(name) as client:
        return client.ask(request()).status


def listens_on(gate: Exposed) -> set[str]:
    """The addresses on which its HAProxy really listens."""
    found = set()
    for process in (gate.haproxy(), *gate.haproxy().children()):
        found |= {c.laddr.ip for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}
    return found


def test_loopback_and_6443_are_the_default(person: Home, flags: tuple[str, ...]) -> None:
    with contextlib.ExitStack() as stack:
        # It may be that another program listens there already.
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 6443)))
        [found] = problems(kubegate("expose", "--output", "json", *flags, home=person))
        assert found["where"] == "--listen 127.0.0.1:6443"


@pytest.mark.parametrize("address", ["[::1]", "localhost", "127.0.0.9"])
def test_loopback_is_reached_by_this_machine_alone(person: Home, flags: tuple[str, ...], address: str) -> None:
    bare = address.strip("[]").replace("localhost", "127.0.0.1")
    with expose(*flags, "--listen", f"{address}:0", home=person) as gate:
        assert gate.port > 1023
        assert gate.facts["listen"] == f"{address.replace('localhost', '127.0.0.1')}:{gate.port}"
        assert gate.url == f"https://{gate.facts['listen']}"
        assert gate.facts["reach"] == ([{"interface": "lo", "address": bare}])
        assert gate.warnings == []
        assert set(gate.facts["certificate"]["names"]) == {"localhost", bare}
        assert listens_on(gate) == {bare}
        assert asked(gate) == 200
        assert asked(gate, "localhost") == 200


def all_addresses(*families: socket.AddressFamily) -> set[str]:
    """Every address of this machine that is not link-local."""
    entries = [entry for entries in psutil.net_if_addrs().values() for entry in entries if entry.family in families]
    return {entry.address for entry in entries if not re.match(r"169\.254\.|fe80:", entry.address)}


@pytest.mark.parametrize(
    ("address", "families"),
    [("0.0.0.0", (socket.AF_INET,)), ("[::]", (socket.AF_INET, socket.AF_INET6))],
    ids=["IPv4", "IPv6 and IPv4"],
)
def test_every_interface_is_listed_and_warned_of(
    person: Home, flags: tuple[str, ...], address: str, families: tuple[socket.AddressFamily, ...]
) -> None:
    with expose(*flags, "--listen", f"{address}:0", home=person) as gate:
        addresses = {reach["address"] for reach in gate.facts["reach"]}
        assert addresses == all_addresses(*families)
        assert {reach["interface"] for reach in gate.facts["reach"]} <= psutil.net_if_addrs().keys()
        [warning] = gate.warnings
        assert warning["code"] == "listen.open"
        assert all(one in warning["message"] for one in addresses)
        assert "firewall" in warning["hint"]
        assert set(gate.facts["certificate"]["names"]) == {"localhost", *addresses}
        # Clients are told an address that others reach, if there is one.
        told = gate.url.removeprefix("https://").rpartition(":")[0].strip("[]")
        assert told in addresses
        assert not told.startswith("127.")
        assert asked(gate) == 200
        for one in addresses:
            with socket.create_connection((one, gate.port), 5):
                pass


def test_an_address_of_an_interface_alone(person: Home, flags: tuple[str, ...]) -> None:
    outside = sorted(one for one in all_addresses(socket.AF_INET) if not one.startswith("127."))
    if not outside:
        pytest.skip("this machine has loopback only")
    with expose(*flags, "--listen", f"{outside[0]}:0", home=person) as gate:
        assert listens_on(gate) == {outside[0]}
        assert [reach["address"] for reach in gate.facts["reach"]] == [outside[0]]
        assert gate.codes >= {"listen.open"}
        assert gate.facts["certificate"]["names"] == [outside[0]]
        assert asked(gate) == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", gate.port), 5)


def test_a_name_for_clients(person: Home, flags: tuple[str, ...]) -> None:
    with expose(*flags, "--listen", "127.0.0.1:0", "--host", "API.Gate.Test.", "--host", "10.1.2.3", home=person) as gate:
        assert gate.url == f"https://api.gate.test:{gate.port}"
        assert gate.cluster()["server"] == gate.url
        assert set(gate.facts["certificate"]["names"]) == {"api.gate.test", "10.1.2.3", "127.0.0.1", "localhost"}


def test_the_same_address_twice(person: Home, flags: tuple[str, ...]) -> None:
    with expose(*flags, "--listen", "127.0.0.1:0", home=person) as gate:
        address = f"127.0.0.1:{gate.port}"
        second = ("expose", "--output", "json", *flags, "--listen", address)
        [found] = problems(kubegate(*second, home=person))
        assert found["where"] == f"--listen {address}"
        assert f"another kubegate (pid {gate.process.pid})" in found["message"]
        # From another home, which knows nothing of the first, it is a port in use.
        with home() as stranger:
            [found] = problems(kubegate(*second, home=stranger))
            assert re.search(r"haproxy \(pid \d+\) listens there already", found["message"])
        # And so it is for an address that includes this one.
        [found] = problems(kubegate(*second[:-1], f"0.0.0.0:{gate.port}", home=person))
        assert "listens there already" in found["message"]
        assert asked(gate) == 200
    assert json.dumps(person.left(), default=str).count("self-signed.pem") == 1


def test_two_gates_side_by_side(person: Home, flags: tuple[str, ...]) -> None:
    with expose(*flags, "--listen", "127.0.0.1:0", home=person) as one, expose(*flags, "--listen", "[::1]:0", home=person) as two:
        assert len(list(person.runtime.iterdir())) == 2
        assert asked(two) == 200
        one.stop()
        assert len(list(person.runtime.iterdir())) == 1
        assert asked(two) == 200


def test_an_api_server_with_an_ipv6_address(person: Home, flags: tuple[str, ...]) -> None:
    """Another gate stands in for it."""
    with expose(*flags, "--listen", "[::1]:0", home=person) as first:
        config = kubeconfig(person.path / "second.yaml", first.url, ca=first.ca_pem, cluster={"tls-server-name": "localhost"})
        out = str(person.path / "second-out.yaml")
        with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", "--out", out, home=person) as second:
            assert second.facts["upstream"]["servers"] == [f"[::1]:{first.port}"]
            assert second.facts["upstream"]["verified_name"] == "localhost"
            assert asked(second) == 200
