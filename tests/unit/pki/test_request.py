"""Certificate requests: what is asked for is read, and only from one sound request that its own key signed."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kubegate.model.problem import InvalidInput
from kubegate.pki.key import make_key
from kubegate.pki.request import make_request, read_request

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = make_request("alice", ["dev", "ops"], ["gate.test", "127.0.0.1"], KEY)


def test_it_is_read() -> None:
    asked = read_request(PEM, "x")
    assert (asked.common_name, asked.organizations, asked.names) == ("alice", ("dev", "ops"), ("gate.test", "127.0.0.1"))
    assert asked.key == KEY.public_key()
    assert read_request(make_request("bob", [], [], make_key()), "x").names == ()


def refused(pem: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_request(pem, "a.csr")
    [problem] = caught.value.problems
    assert problem.where == "a.csr"
    assert problem.hint
    return problem.message


def forged() -> bytes:
    """A request whose signature is of other bytes."""
    lines = PEM.splitlines()
    lines[1] = lines[1].replace(b"M", b"N", 1) if lines[1].startswith(b"M") else b"M" + lines[1][1:]
    return b"\n".join(lines)


def unsigned() -> bytes:
    """A request that says another name than was signed."""
    der = x509.load_pem_x509_csr(PEM).public_bytes(serialization.Encoding.DER).replace(b"alice", b"admin")
    return x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)


def test_not_one_request() -> None:
    assert "not one certificate request" in refused(PEM + PEM)
    assert "not one certificate request" in refused(b"text -----BEGIN CERTIFICATE REQUEST-----\n" + PEM)
    assert "not one certificate request" in refused(b"")
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert "not one certificate request" in refused(key)
    assert "not one certificate request" in refused(key + PEM)


def test_not_sound() -> None:
    assert "cannot be read" in refused(forged())
    assert "not signed by its own key" in refused(unsigned())


def test_a_weak_key() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    assert "1024 bits" in refused(make_request("alice", [], [], weak))
