import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubegate.model.problem import InvalidInput
from kubegate.pki.self_signed import FILE_NAME, self_signed
from tests.support.forge import Forged, forge, serving, shake

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["gate.test", "127.0.0.1", "::1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def strict(ca: bytes) -> ssl.SSLContext:
    """A client as Python 3.13 makes it, on Python 3.11."""
    context = ssl.create_default_context(cadata=ca.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def test_the_certificate(folder: Path) -> None:
    front, made, path = self_signed(folder, NAMES, NOW)
    found = x509.load_pem_x509_certificate(front.pem)
    extensions = {extension.oid._name: (extension.critical, extension.value) for extension in found.extensions}
    assert made
    assert path == folder / FILE_NAME
    assert front.self_signed
    assert front.names == ("gate.test", "127.0.0.1", "::1")
    assert front.client_ca_pem is not None
    assert front.pem.startswith(front.client_ca_pem)
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "gate.test"
    assert found.not_valid_before_utc == NOW - timedelta(hours=1)
    assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(days=825)
    assert extensions["basicConstraints"] == (True, x509.BasicConstraints(ca=False, path_length=None))
    usage = extensions["keyUsage"]
    assert usage == (True, x509.KeyUsage(True, False, False, False, False, False, False, False, False))
    assert extensions["extendedKeyUsage"] == (False, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
    assert {"subjectKeyIdentifier", "authorityKeyIdentifier", "subjectAltName"} < set(extensions)


@pytest.mark.parametrize("name", NAMES)
def test_clients_accept_it(folder: Path, name: str) -> None:
    front, _, _ = self_signed(folder, NAMES, NOW)
    assert front.client_ca_pem is not None
    shake(serving(front.pem), ssl.create_default_context(cadata=front.client_ca_pem.decode()), name)
    shake(serving(front.pem), strict(front.client_ca_pem), name)


@pytest.mark.parametrize("name", ["other.test", "127.0.0.2", "::2", "a.gate.test"])
def test_clients_refuse_it_for_another_name(folder: Path, name: str) -> None:
    front, _, _ = self_signed(folder, NAMES, NOW)
    assert front.client_ca_pem is not None
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(serving(front.pem), strict(front.client_ca_pem), name)


def test_clients_refuse_it_under_another_ca(folder: Path) -> None:
    front, _, _ = self_signed(folder, NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shake(serving(front.pem), strict(forge("gate.test", names=["gate.test"]).pem), "gate.test")


def test_it_cannot_sign_for_others(folder: Path) -> None:
    """Whoever steals the key can pretend to be the gate, and nobody else."""
    front, _, _ = self_signed(folder, NAMES, NOW)
    assert front.client_ca_pem is not None
    key = load_pem_private_key(front.pem[len(front.client_ca_pem) :], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    stolen = Forged(x509.load_pem_x509_certificate(front.pem), key)
    child = forge("victim", stolen, names=["victim.test"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(serving(child.pem + child.key_pem), strict(front.client_ca_pem), "victim.test")


def test_modes(folder: Path) -> None:
    _, _, path = self_signed(folder, NAMES, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [one.name for one in folder.iterdir()] == [FILE_NAME]


def test_it_is_kept(folder: Path) -> None:
    first, _, _ = self_signed(folder, NAMES, NOW)
    again, made, _ = self_signed(folder, ["::1", "GATE.test.", "127.0.0.1"], NOW + timedelta(days=800))
    assert not made
    assert again == first


@pytest.mark.parametrize("names", [["gate.test"], [*NAMES, "more.test"], ["other.test"]])
def test_other_names_other_certificate(folder: Path, names: list[str]) -> None:
    first, _, _ = self_signed(folder, NAMES, NOW)
    other, made, _ = self_signed(folder, names, NOW)
    assert made
    assert other.sha256 != first.sha256
    assert set(other.names) == set(names)


@pytest.mark.parametrize("moment", [NOW + timedelta(days=825), NOW - timedelta(hours=2)])
def test_outside_of_its_validity_it_is_made_anew(folder: Path, moment: datetime) -> None:
    self_signed(folder, NAMES, NOW)
    assert self_signed(folder, NAMES, moment)[1]


def damaged(pem: bytes) -> list[bytes]:
    begin = pem.index(b"-----BEGIN PRIVATE")
    return [b"", b"\x00\xff garbage", pem[:-30], pem[:begin], pem[begin:], pem[:begin] + forge("x").key_pem]


@pytest.mark.parametrize("number", range(6))
def test_damaged_files_are_replaced(folder: Path, number: int) -> None:
    _, _, path = self_signed(folder, NAMES, NOW)
    path.write_bytes(damaged(path.read_bytes())[number])
    front, made, _ = self_signed(folder, NAMES, NOW)
    assert made
    assert path.read_bytes() == front.pem
    assert not self_signed(folder, NAMES, NOW)[1]


def test_somebody_elses_certificate_is_not_taken(folder: Path) -> None:
    _, _, path = self_signed(folder, NAMES, NOW)
    ca = forge("ca", ca=True)
    planted = forge("gate.test", ca, names=NAMES)
    path.write_bytes(planted.pem + planted.key_pem)
    assert self_signed(folder, NAMES, NOW)[1]


def test_names_that_are_none(folder: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        self_signed(folder, ["good.test", "bad name", "*.test"], NOW)
    assert [one.code for one in caught.value.problems] == ["front.name", "front.name"]
    with pytest.raises(InvalidInput):
        self_signed(folder, [], NOW)
    assert not folder.exists()


def test_a_name_too_long_for_a_common_name(folder: Path) -> None:
    name = ".".join(["a" * 40] * 4)
    front, _, _ = self_signed(folder, [name], NOW)
    assert front.names == (name,)
    assert front.client_ca_pem is not None
    shake(serving(front.pem), strict(front.client_ca_pem), name)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(InvalidInput) as caught:
        self_signed(path, NAMES, NOW)
    assert [one.code for one in caught.value.problems] == ["front.state.unsafe"]


def test_a_file_that_cannot_be_replaced(folder: Path) -> None:
    (folder / FILE_NAME).mkdir(parents=True)
    with pytest.raises(InvalidInput) as caught:
        self_signed(folder, NAMES, NOW)
    assert [one.code for one in caught.value.problems] == ["front.state.write"]
    assert [one.name for one in folder.iterdir()] == [FILE_NAME]
