import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.front import load_given
from tests.support.forge import CLIENT, Forged, forge, serving

NOW = datetime(2030, 6, 1, tzinfo=UTC)
ROOT = forge("root", ca=True, now=NOW)
BETWEEN = forge("between", ROOT, ca=True, now=NOW)
LEAF = forge("gate", BETWEEN, names=["gate.test", "10.0.0.1"], now=NOW)


@pytest.fixture(autouse=True)
def _no_system_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no-system-ca.pem"))


class Pair:
    """A certificate file and a key file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"

    def write(self, chain: bytes, key: bytes) -> "Pair":
        self.cert.write_bytes(chain)
        self.key.write_bytes(key)
        self.key.chmod(0o600)
        return self

    def of(self, made: Forged, *issuers: Forged) -> "Pair":
        return self.write(made.pem + b"".join(one.pem for one in issuers), made.key_pem)

    def problems(self) -> list[Problem]:
        with pytest.raises(InvalidInput) as caught:
            load_given(self.cert, self.key, ["gate.test"], NOW)
        return list(caught.value.problems)

    def warnings(self, *names: str) -> dict[str, Problem]:
        return {one.code: one for one in load_given(self.cert, self.key, names or ["gate.test"], NOW)[1]}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_a_good_pair(pair: Pair) -> None:
    pair.of(LEAF, BETWEEN, ROOT)
    front, warnings = load_given(pair.cert, pair.key, ["gate.test", "10.0.0.1"], NOW)
    assert warnings == []
    assert front.names == ("gate.test", "10.0.0.1")
    assert front.not_after == NOW + timedelta(days=30)
    assert not front.self_signed
    assert front.client_ca_pem == ROOT.pem
    assert front.pem == LEAF.pem + BETWEEN.pem + ROOT.pem + LEAF.key_pem
    serving(front.pem)


def test_one_file_for_both_and_text_around(pair: Pair) -> None:
    pair.cert.write_bytes(b"Bag Attributes\n" + LEAF.key_pem + b"subject=...\n" + LEAF.pem + BETWEEN.pem + ROOT.pem)
    pair.cert.chmod(0o600)
    front, _ = load_given(pair.cert, pair.cert, [], NOW)
    assert front.pem == LEAF.pem + BETWEEN.pem + ROOT.pem + LEAF.key_pem


def test_the_key_is_not_in_repr(pair: Pair) -> None:
    front, _ = load_given(pair.of(LEAF).cert, pair.key, [], NOW)
    assert "PRIVATE" not in repr(front)
    assert load_pem_private_key(front.pem[len(LEAF.pem) :], None)


def test_missing_files_are_told_both(pair: Pair) -> None:
    assert [(one.where, one.code) for one in pair.problems()] == [
        (str(pair.cert), "file.unreadable"),
        (str(pair.key), "file.unreadable"),
    ]
    assert "no such file" in pair.problems()[0].message


def test_a_folder_is_no_file(pair: Pair) -> None:
    pair.of(LEAF)
    pair.key.unlink()
    pair.key.mkdir()
    (problem,) = pair.problems()
    assert problem.message == "cannot be read: is a directory"


def test_a_file_of_somebody_else(pair: Pair) -> None:
    pair.of(LEAF).key.chmod(0)
    user = os.geteuid()
    # Root reads everything.
    os.seteuid(user or 65534)
    try:
        problems = pair.problems()
    finally:
        os.seteuid(user)
    assert {problem.message for problem in problems} == {"cannot be read: permission denied"}


def test_everything_wrong_is_told_at_once(pair: Pair) -> None:
    expired = forge("x", ROOT, usages=[CLIENT], since=timedelta(days=9), until=timedelta(days=-2), now=NOW)
    pair.write(expired.pem, LEAF.key_pem)
    assert [one.code for one in pair.problems()] == ["front.cert.expired", "front.cert.usage", "front.key.mismatch"]
    pair.write(expired.pem, LEAF.locked(b"x"))
    assert [one.code for one in pair.problems()] == ["key.encrypted", "front.cert.expired", "front.cert.usage"]
    pair.write(b"", LEAF.pem)
    assert [one.code for one in pair.problems()] == ["certificate.empty", "key.missing"]


def test_not_yet_valid(pair: Pair) -> None:
    pair.of(forge("x", ROOT, since=timedelta(hours=-1), now=NOW))
    assert [one.code for one in pair.problems()] == ["front.cert.early"]


def test_a_chain_in_the_wrong_order(pair: Pair) -> None:
    pair.write(ROOT.pem + LEAF.pem, LEAF.key_pem)
    (problem,) = pair.problems()
    assert problem.code == "front.key.order"
    assert "certificate 2" in problem.message


def test_a_large_file_is_not_swallowed(pair: Pair) -> None:
    pair.of(LEAF).key.write_bytes(b"x" * (2 << 20))
    assert [one.code for one in pair.problems()] == ["file.large"]


def test_names_that_are_not_covered(pair: Pair) -> None:
    found = pair.of(LEAF, BETWEEN, ROOT).warnings("gate.test", "10.0.0.2", "other.test")
    assert set(found) == {"front.cert.names"}
    assert "not for 10.0.0.2, other.test" in found["front.cert.names"].message
    assert "subjectAltName" in pair.of(forge("gate.test", ROOT, now=NOW), ROOT).warnings()["front.cert.names"].message


def test_a_wildcard_covers_one_label(pair: Pair) -> None:
    pair.of(forge("x", ROOT, names=["*.gate.test"], now=NOW), ROOT)
    assert pair.warnings("a.gate.test") == {}
    assert set(pair.warnings("a.b.gate.test")) == {"front.cert.names"}


def test_an_end_that_is_near(pair: Pair) -> None:
    pair.of(forge("x", ROOT, names=["gate.test"], until=timedelta(days=14), now=NOW), ROOT)
    assert pair.warnings() == {}
    pair.of(forge("x", ROOT, names=["gate.test"], until=timedelta(days=13, hours=23), now=NOW), ROOT)
    assert set(pair.warnings()) == {"front.cert.expires"}


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_key_that_everyone_reads(pair: Pair, mode: int, warned: bool) -> None:
    pair.of(LEAF, BETWEEN, ROOT).key.chmod(mode)
    found = pair.warnings()
    assert ("front.key.mode" in found) == warned
    if warned:
        assert f"{mode:04o}" in found["front.key.mode"].message
