"""The names that a gate's own certificate carries, where it is kept, and by which name clients verify one that was given."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.config import ClusterConfig
from kubegate.model.facts import FrontCertificate
from kubegate.model.status import Reach
from kubegate.runtime.front import Front, names_in_play, own_folder
from kubegate.runtime.listening import client_host, dial_host, open_to_others, reachable, store_name

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def reach(*addresses: str) -> tuple[Reach, ...]:
    return tuple(Reach(interface="eth0", address=address) for address in addresses)


@pytest.mark.parametrize(
    ("hosts", "listen", "addresses", "names"),
    [
        ((), "127.0.0.1", ("127.0.0.1",), ["127.0.0.1", "localhost"]),
        ((), "::1", ("::1",), ["::1", "localhost"]),
        ((), "10.0.0.1", ("10.0.0.1",), ["10.0.0.1"]),
        ((), "0.0.0.0", ("10.0.0.1", "127.0.0.1"), ["10.0.0.1", "127.0.0.1", "localhost"]),
        (("api.test", "10.0.0.1"), "10.0.0.1", ("10.0.0.1",), ["api.test", "10.0.0.1"]),
    ],
)
def test_names_in_play(hosts: tuple[str, ...], listen: str, addresses: tuple[str, ...], names: list[str]) -> None:
    assert names_in_play(ClusterConfig(hosts=hosts), Endpoint(listen, 1), reach(*addresses)) == names


def front(*names: str) -> Front:
    """A certificate with these names."""
    certificate = FrontCertificate(b"", names, "AA", LATER, self_signed=False, client_ca_pem=None)
    return Front(certificate, None, newly_made=False, warnings=())


@pytest.mark.parametrize(
    ("names", "host", "verified"),
    [
        (("api.test",), "api.test", "api.test"),
        (("*.test",), "api.test", None),
        (("*.gate.test",), "api.gate.test", "api.gate.test"),
        (("*.gate.test", "b.test"), "10.0.0.1", "b.test"),
        (("10.0.0.1",), "10.0.0.1", "10.0.0.1"),
        (("0:0::1",), "::1", "::1"),
        (("10.0.0.2", "b.test"), "10.0.0.1", "b.test"),
        (("10.0.0.2",), "10.0.0.1", "10.0.0.2"),
        (("*.gate.test",), "10.0.0.1", None),
        ((), "10.0.0.1", None),
    ],
)
def test_the_name_by_which_clients_verify(names: tuple[str, ...], host: str, verified: str | None) -> None:
    assert front(*names).name_for(host) == verified


def test_one_folder_for_each_set_of_names() -> None:
    environ = {"STATE_DIRECTORY": "/state"}
    folder = own_folder(["127.0.0.1", "localhost"], environ)
    assert folder.parent == Path("/state/front")
    assert own_folder(["localhost", "127.0.0.1"], environ).name.rpartition("-")[2] == folder.name.rpartition("-")[2]
    assert own_folder(["127.0.0.1"], environ) != folder
    assert ":" not in own_folder(["::1"], environ).name
    assert len(own_folder(["a" * 63 + ".test"] * 3, environ).name) < 100


@pytest.mark.parametrize(
    ("hosts", "listen", "addresses", "told"),
    [
        ((), "127.0.0.1", ("127.0.0.1",), "127.0.0.1"),
        ((), "::1", ("::1",), "::1"),
        (("b.test", "a.test"), "0.0.0.0", ("10.0.0.1",), "b.test"),
        ((), "0.0.0.0", ("127.0.0.1", "203.0.113.9"), "203.0.113.9"),
        ((), "0.0.0.0", ("127.0.0.1",), "127.0.0.1"),
        ((), "::", (), "::1"),
    ],
)
def test_the_host_that_clients_are_told(hosts: tuple[str, ...], listen: str, addresses: tuple[str, ...], told: str) -> None:
    assert client_host(ClusterConfig(hosts=hosts), Endpoint(listen, 1), reach(*addresses)) == told


def test_where_this_machine_dials() -> None:
    found = {host: dial_host(Endpoint(host, 1)) for host in ("127.0.0.9", "10.0.0.1", "0.0.0.0", "::")}
    assert found == {"127.0.0.9": "127.0.0.9", "10.0.0.1": "10.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def test_who_is_warned() -> None:
    for loopback in ("127.0.0.1", "::1", "127.9.9.9"):
        assert open_to_others(Endpoint(loopback, 1), reach(loopback)) == []
    [warning] = open_to_others(Endpoint("0.0.0.0", 1), reach("10.0.0.1"))
    assert warning.where == "--listen 0.0.0.0:1"
    assert "10.0.0.1 (eth0)" in warning.message
    assert "firewall" in warning.hint
    [declared] = open_to_others(Endpoint("0.0.0.0", 1), reach("10.0.0.1"), "listener main")
    assert (declared.where, declared.message) == ("listener main", warning.message)
    assert "allow" in declared.hint


def test_folders_of_gates_have_plain_names() -> None:
    assert [store_name(Endpoint(host, 1)) for host in ("127.0.0.1", "::1")] == ["127.0.0.1-1", "__1-1"]
    assert reachable(Endpoint("203.0.113.9", 1))[0].interface == "?"
