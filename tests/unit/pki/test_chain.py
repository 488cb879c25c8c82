"""Chains as they are found: order, what is missing, what is too much, and who would trust them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubegate.model.certificate_kinds import Purpose
from kubegate.pki.ca import Authority
from kubegate.pki.certificate import Certificate, load_bundle, read_certificate
from kubegate.pki.chain import arrange, by_browser, by_bundle, is_bundle
from kubegate.pki.issue import Wanted, issue
from tests.support.forge import CLIENT, Forged, forge

NOW = datetime.now(UTC)
ROOT = forge("root", ca=True, usages=None)
BETWEEN = forge("between", ROOT, ca=True, usages=None)
LEAF = forge("gate", BETWEEN, names=["gate.test", "192.0.2.7"])
OTHER = forge("other root", ca=True, usages=None)
IMPOSTOR = forge("root", ca=True, usages=None)


def read(*forged: Forged) -> list[Certificate]:
    return [read_certificate(one.certificate) for one in forged]


def subjects(found: Sequence[Certificate]) -> list[str]:
    return [one.subject for one in found]


def test_a_whole_chain() -> None:
    found = arrange(read(LEAF, BETWEEN, ROOT))
    assert subjects(found.chain) == ["CN=gate", "CN=between", "CN=root"]
    assert (found.in_order, found.missing, found.superfluous, found.root_is_sent) == (True, "", (), True)
    assert found.until == found.leaf.not_after


def test_what_is_missing() -> None:
    found = arrange(read(LEAF, BETWEEN))
    assert (found.missing, found.root_is_sent) == ("CN=root", False)
    assert arrange(read(LEAF)).missing == "CN=between"
    # The name is right, and the key is not.
    wrong = arrange(read(LEAF, forge("between", OTHER, ca=True)))
    assert (wrong.missing, subjects(wrong.superfluous)) == ("CN=between", ["CN=between"])


def test_the_order() -> None:
    assert not arrange(read(LEAF, ROOT, BETWEEN)).in_order
    backwards = arrange(read(ROOT, BETWEEN, LEAF))
    assert (backwards.leaf.subject, backwards.in_order) == ("CN=gate", False)
    assert subjects(backwards.chain) == ["CN=gate", "CN=between", "CN=root"]


def test_what_is_too_much() -> None:
    found = arrange(read(LEAF, BETWEEN, OTHER, BETWEEN))
    assert subjects(found.superfluous) == ["CN=other root", "CN=between"]
    assert found.in_order is True
    assert arrange(read(LEAF, BETWEEN)).superfluous == ()


def test_the_chain_ends_with_its_first() -> None:
    short = forge("between", ROOT, ca=True, usages=None, until=timedelta(days=3))
    leaf = forge("gate", short, names=["gate.test"])
    assert arrange(read(leaf, short)).until == read_certificate(short.certificate).not_after


def test_a_bundle() -> None:
    assert is_bundle(read(ROOT, OTHER))
    assert not is_bundle(read(ROOT))
    assert not is_bundle(read(LEAF, BETWEEN, ROOT))


TRUSTED = [
    ((LEAF, BETWEEN), (ROOT,), None),
    ((LEAF, BETWEEN, ROOT), (ROOT,), "gate.test"),
    ((LEAF,), (BETWEEN,), "192.0.2.7"),
    ((LEAF,), (LEAF,), "gate.test"),
    ((LEAF,), (OTHER, BETWEEN), "gate.test"),
]


@pytest.mark.parametrize(("chain", "trusted", "name"), TRUSTED)
def test_trusted(chain: tuple[Forged, ...], trusted: tuple[Forged, ...], name: str | None) -> None:
    verdict = by_bundle(read(*chain), name, NOW, read(*trusted))
    assert verdict.trusted, verdict.why


EXPIRED_CA = forge("old", ca=True, usages=None, since=timedelta(days=9), until=timedelta(days=-1))
MISTRUSTED = [
    ((LEAF, BETWEEN), (OTHER,), None, "CN=root) is not among"),
    ((LEAF, BETWEEN, ROOT), (OTHER,), None, "its root (CN=root) is not among"),
    ((LEAF,), (ROOT,), None, "its issuer (CN=between) is not among"),
    ((LEAF, BETWEEN), (IMPOSTOR,), None, "expected name (CN=root) but another key"),
    ((LEAF, BETWEEN), (ROOT,), "other.test", "it is not for other.test"),
    ((LEAF, BETWEEN), (ROOT,), "192.0.2.8", "it is not for 192.0.2.8"),
    ((LEAF, BETWEEN), (), None, "holds no CA"),
    ((forge("self", names=["gate.test"]),), (ROOT,), None, "self-signed"),
    (
        (forge("old", ROOT, names=["gate.test"], until=timedelta(days=-1), since=timedelta(days=9)),),
        (ROOT,),
        None,
        "it expired on",
    ),
    ((forge("new", ROOT, names=["gate.test"], since=timedelta(days=-1)),), (ROOT,), None, "not valid before"),
    ((forge("alice", ROOT, names=["gate.test"], usages=(CLIENT,)),), (ROOT,), None, "not for TLS servers"),
    ((forge("nameless", ROOT),), (ROOT,), None, "no name in subjectAltName"),
    ((forge("gate", EXPIRED_CA, names=["gate.test"]),), (EXPIRED_CA,), None, "CN=old is not valid now"),
]


@pytest.mark.parametrize(("chain", "trusted", "name", "why"), MISTRUSTED)
def test_not_trusted(chain: tuple[Forged, ...], trusted: tuple[Forged, ...], name: str | None, why: str) -> None:
    verdict = by_bundle(read(*chain), name, NOW, read(*trusted))
    assert not verdict.trusted
    assert why in verdict.why


def test_a_ca_may_vouch_for_its_own_names_alone() -> None:
    bound = Authority.create(["example.test"])
    good = issue(bound, Wanted(Purpose.SERVER, "", ("gate.example.test",)))
    assert by_bundle(good.chain, None, NOW, [bound.certificate]).trusted
    stolen = Forged(bound.certificate.parsed, bound.key)
    foreign = read(forge("web", stolen, names=["www.example.com"]))
    assert by_bundle(foreign, None, NOW, [bound.certificate]).why == "a CA above it may not vouch for its names"


def test_the_system_s_cas(tmp_path: Path) -> None:
    """What a browser trusts is what the machine does; the chain is one that public CAs could have issued."""
    system = tmp_path / "system.pem"
    bound = Authority.create(["example.test"])
    system.write_bytes(OTHER.pem + bound.certificate.pem)
    good = issue(bound, Wanted(Purpose.SERVER, "", ("gate.example.test",)))
    assert by_browser(good.chain, None, NOW, system).trusted
    assert by_browser(good.chain, "x.example.test", NOW, system).why == "it is not for x.example.test"
    system.write_bytes(OTHER.pem)
    assert "its root (CN=kubegate local CA) is not among" in by_browser(good.chain, None, NOW, system).why
    assert "no CAs" in by_browser(good.chain, None, NOW, None).why
    assert "cannot be read" in by_browser(good.chain, None, NOW, tmp_path / "missing").why


def test_text_of_certificates_is_escaped() -> None:
    hostile = forge("ga\x1b[2Jte", forge("ro\u202eot", ca=True), names=["gate.test"])
    [leaf] = load_bundle(hostile.pem, "x")
    found = arrange([leaf])
    assert "\x1b" not in found.leaf.subject
    assert "\\u202e" in found.missing
    assert "\\u202e" in by_bundle([leaf], None, NOW, read(ROOT)).why
