import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubegate.pki.certificate import load_bundle
from kubegate.pki.trust import client_ca
from tests.support.forge import Forged, forge, serving, shake

NOW = datetime.now(UTC)
ROOT = forge("root", ca=True)
BETWEEN = forge("between", ROOT, ca=True)
LEAF = forge("gate", BETWEEN, names=["gate.test"])
OTHER = forge("other root", ca=True)


def chosen(*chain: Forged, system: Path | None = None) -> tuple[bytes | None, list[str]]:
    certificates = load_bundle(b"".join(one.pem for one in chain), "x")
    ca, warnings = client_ca(certificates, "tls.crt", NOW, system)
    return ca, [one.code for one in warnings]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    path = tmp_path / "system.pem"
    path.write_bytes(OTHER.pem + ROOT.pem)
    return path


def test_self_signed_is_its_own_authority(system: Path) -> None:
    alone = forge("alone", names=["gate.test"])
    assert chosen(alone, system=system) == (alone.pem, [])


def test_the_root_of_the_chain(system: Path) -> None:
    assert chosen(LEAF, BETWEEN, ROOT, system=system) == (ROOT.pem, [])


def test_a_public_chain_needs_nothing(system: Path) -> None:
    assert chosen(LEAF, BETWEEN, system=system) == (None, [])


def test_one_certificate_of_the_system_that_cannot_be_read_costs_the_others_nothing(system: Path) -> None:
    damaged = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    system.write_bytes(damaged + system.read_bytes() + damaged)
    test_a_public_chain_needs_nothing(system)


def test_a_public_wildcard_and_address(system: Path) -> None:
    for name in ("*.gate.test", "10.0.0.1"):
        assert chosen(forge("x", ROOT, names=[name]), system=system) == (None, [])


def test_an_intermediate_is_better_than_a_leaf() -> None:
    assert chosen(LEAF, BETWEEN) == (BETWEEN.pem, ["front.trust.intermediate"])


def test_a_leaf_alone_is_pinned(system: Path) -> None:
    assert chosen(LEAF, system=system) == (LEAF.pem, ["front.trust.pinned"])
    assert chosen(LEAF) == (LEAF.pem, ["front.trust.pinned"])


def test_a_stranger_in_the_chain_is_no_authority() -> None:
    """Clients would be told to trust a CA that never signed the certificate."""
    assert chosen(LEAF, OTHER) == (LEAF.pem, ["front.trust.pinned"])
    assert chosen(LEAF, OTHER, BETWEEN, ROOT) == (LEAF.pem, ["front.trust.pinned"])
    assert chosen(LEAF, BETWEEN, OTHER) == (BETWEEN.pem, ["front.trust.intermediate"])


def test_an_issuer_that_is_no_ca_is_no_authority() -> None:
    issuer = forge("not a ca", names=["x.test"])
    leaf = forge("leaf", issuer, names=["gate.test"])
    assert chosen(leaf, issuer) == (leaf.pem, ["front.trust.pinned"])


def test_expired_for_the_system_is_not_trusted_by_it(system: Path) -> None:
    old = forge("old", ROOT, names=["gate.test"], since=timedelta(days=3), until=timedelta(days=-1))
    assert chosen(old, system=system) == (old.pem, ["front.trust.pinned"])


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_system_bundle_that_cannot_be_used_trusts_nobody(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "system.pem"
    if content is not None:
        path.write_bytes(content)
    assert chosen(LEAF, BETWEEN, system=path) == (BETWEEN.pem, ["front.trust.intermediate"])


@pytest.mark.parametrize("chain", [(LEAF, BETWEEN, ROOT), (forge("alone", names=["gate.test"]),)])
def test_clients_with_the_chosen_ca_accept_the_chain(chain: tuple[Forged, ...]) -> None:
    ca, _ = chosen(*chain)
    assert ca is not None
    server = serving(b"".join(one.pem for one in chain) + chain[0].key_pem)
    shake(server, ssl.create_default_context(cadata=ca.decode()), "gate.test")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(server, ssl.create_default_context(cadata=ca.decode()), "other.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, ssl.create_default_context(cadata=OTHER.pem.decode()), "gate.test")
