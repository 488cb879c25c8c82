"""Certificates that are renewed while a gate runs, as cert-manager, certbot or people do it; a bad one is refused, loudly."""

import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubegate.system.network import free_port
from tests.support.commands import facts
from tests.support.expose import Home, home
from tests.support.forge import CLIENT, Forged, forge
from tests.support.run import Running, cluster, front_leaf, gate_file, run
from tests.support.tls import authority, front_authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

NAMES = ["one.test", "127.0.0.1"]


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


class CertManager:
    """A Secret in a pod: links to `..data/`, a link to a folder that is swapped whole."""

    declared: Mapping[str, str] = {"cert": "volume/tls.crt", "key": "volume/tls.key"}

    def __init__(self, folder: Path, first: Forged) -> None:
        self._volume = folder / "volume"
        self._volume.mkdir()
        self._version = 0
        self.renew(first)
        for name in ("tls.crt", "tls.key"):
            (self._volume / name).symlink_to(f"..data/{name}")

    def renew(self, leaf: Forged, key: Forged | None = None) -> None:
        """As the kubelet does it (AtomicWriter)."""
        before, self._version = self._version, self._version + 1
        fresh = self._volume / f"..{self._version}"
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(leaf.pem)
        (fresh / "tls.key").write_bytes((key or leaf).key_pem)
        (self._volume / "..data_tmp").symlink_to(fresh.name)
        (self._volume / "..data_tmp").replace(self._volume / "..data")
        if before:
            shutil.rmtree(self._volume / f"..{before}")


class Certbot:
    """`live/NAME/*.pem` are links into `archive/NAME`, each replaced by itself."""

    declared: Mapping[str, str] = {"cert": "live/one.test/fullchain.pem", "key": "live/one.test/privkey.pem"}

    def __init__(self, folder: Path, first: Forged) -> None:
        self._live, self._archive = folder / "live" / "one.test", folder / "archive" / "one.test"
        for made in (self._live, self._archive):
            made.mkdir(parents=True)
        self._version = 0
        self.renew(first)

    def renew(self, leaf: Forged, key: Forged | None = None) -> None:
        self._version += 1
        for name, content in (("privkey", (key or leaf).key_pem), ("fullchain", leaf.pem)):
            target = self._archive / f"{name}{self._version}.pem"
            target.write_bytes(content)
            link = self._live / f"{name}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../archive/one.test/{target.name}")


class ByHand:
    """Two files that are written over, one after the other."""

    declared: Mapping[str, str] = {"cert": "hand.crt", "key": "hand.key"}

    def __init__(self, folder: Path, first: Forged) -> None:
        self._folder = folder
        self.renew(first)

    def renew(self, leaf: Forged, key: Forged | None = None) -> None:
        (self._folder / "hand.crt").write_bytes(leaf.pem)
        (self._folder / "hand.key").write_bytes((key or leaf).key_pem)


Way = CertManager | Certbot | ByHand
WAYS = pytest.mark.parametrize("way", [CertManager, Certbot, ByHand])
# What nobody could use is of no use in the place of what runs.
BAD = {
    "expired": forge("one.test", front_authority(), names=NAMES, since=timedelta(days=9), until=timedelta(days=-1)),
    "not yet valid": forge("one.test", front_authority(), names=NAMES, since=timedelta(days=-1)),
    "for clients": forge("one.test", front_authority(), names=NAMES, usages=(CLIENT,)),
}


def shown(gate: Running) -> int:
    """The serial number of the certificate that a client gets."""
    with gate.dial() as connection:
        return int(str(connection.wire.peer["serialNumber"]), 16)


def shows(gate: Running, leaf: Forged) -> None:
    eventually(lambda: shown(gate) == leaf.certificate.serial_number, "the certificate is shown")


def expiry(port: int) -> float:
    """When the certificate ends, by the metrics."""
    with httpx.Client(trust_env=False) as asking:
        text = asking.get(f"http://127.0.0.1:{port}/metrics/kubegate").text
    families = text_string_to_metric_families(text)
    [value] = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "kubegate_certificate_expires_timestamp_seconds"
    ]
    return value


@WAYS
def test_a_renewal_is_taken_and_a_bad_one_is_not(place: Home, upstream: Upstream, way: type[Way]) -> None:
    first = forge("one.test", front_authority(), names=NAMES, until=timedelta(days=5, hours=1))
    files = way(place.path, first)
    metrics = free_port("127.0.0.1")
    declared = cluster(place.path, "one", upstream, certificate=dict(files.declared))
    with run(gate_file(place.path, declared, metrics={"address": f"127.0.0.1:{metrics}"}), place) as gate:
        gate.until_up("one")
        shows(gate, first)
        assert _days(gate) == 5
        assert expiry(metrics) == first.certificate.not_valid_after_utc.timestamp()
        assert "front.cert.expires" in [one.code for one in gate.status().warnings]
        second = front_leaf(*NAMES)
        files.renew(second)
        shows(gate, second)
        eventually(lambda: _days(gate) == 29, "the new days are told")
        assert expiry(metrics) == second.certificate.not_valid_after_utc.timestamp()
        assert "front.cert.expires" not in [one.code for one in gate.status().warnings]
        for bad in BAD.values():
            told = gate.said.count("refused, and what ran before goes on")
            files.renew(bad)
            eventually(lambda: gate.status().refused, "it is refused")
            gate.wait_for("refused, and what ran before goes on", told + 1)
            assert shown(gate) == second.certificate.serial_number
            files.renew(second)
            eventually(lambda: not gate.status().refused, "it is mended")
        files.renew(front_leaf(*NAMES), key=front_leaf(*NAMES))
        eventually(lambda: [one.code for one in gate.status().refused] == ["front.key.mismatch"], "the pair is refused")
        assert shown(gate) == second.certificate.serial_number
        third = front_leaf(*NAMES)
        files.renew(third)
        shows(gate, third)
        assert gate.status().reloads == 0


def _days(gate: Running) -> int:
    certificate = gate.cluster("one").certificate
    assert certificate is not None
    return certificate.days_left


def test_what_kubegate_renews_is_taken(place: Home, upstream: Upstream) -> None:
    ca, base = place.path / "ca", place.path / "gate"
    facts("certs", "ca", "init", str(ca), "--name", "one.test", home=place)
    words = ["--ca", str(ca), "--name", "one.test", "--name", "127.0.0.1", "--for", "2d", "--out", str(base)]
    facts("certs", "issue", "server", *words, home=place)
    declared = cluster(place.path, "one", upstream, certificate={"cert": "gate.crt", "key": "gate.key"})
    with run(gate_file(place.path, declared), place) as gate:
        eventually(lambda: gate.cluster("one").servers, "it runs")
        before = _sha256(gate)
        found = facts("certs", "renew", f"{base}.crt", "--ca", str(ca), "--for", "60d", home=place)
        eventually(lambda: _sha256(gate) == found["certificate"]["sha256"], "the new one is shown")
        assert before != found["certificate"]["sha256"]
        eventually(lambda: not gate.status().refused, "nothing is refused")
        assert gate.status().reloads == 0


def _sha256(gate: Running) -> str:
    certificate = gate.cluster("one").certificate
    assert certificate is not None
    return certificate.sha256


def test_a_renewal_of_another_ca_is_taken_as_it_is_declared(place: Home, upstream: Upstream) -> None:
    """Which CA issues is the operator's choice; clients that trust the old one alone see that it is another."""
    with run(gate_file(place.path, cluster(place.path, "one", upstream)), place) as gate:
        gate.until_up("one")
        other = authority("another front CA")
        leaf = forge("one.test", other, names=NAMES)
        (place.path / "one.key").write_bytes(leaf.key_pem)
        (place.path / "one.crt").write_bytes(leaf.pem)
        eventually(lambda: _serial(gate, other) == leaf.certificate.serial_number, "it is shown")


def _serial(gate: Running, trusted: Forged) -> int:
    try:
        with gate.dial(trusted=trusted) as connection:
            return int(str(connection.wire.peer["serialNumber"]), 16)
    except OSError:
        return 0
