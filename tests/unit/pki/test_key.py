import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kubegate.model.problem import InvalidInput
from kubegate.pki.key import belongs_to, key_pem, load_key
from tests.support.forge import Forged, Key, forge

EC = forge("ec")
RSA = forge("rsa", key=rsa.generate_private_key(65537, 2048))
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def code(pem: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_key(pem, "tls.key")
    (problem,) = caught.value.problems
    assert problem.where == "tls.key"
    return problem.code


def old_form(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@pytest.mark.parametrize("made", [EC, RSA])
def test_every_form_that_openssl_writes(made: Forged) -> None:
    for pem in (made.key_pem, old_form(made.key), PARAMETERS + old_form(made.key), made.pem + made.key_pem):
        key = load_key(pem, "x")
        assert belongs_to(key, made.certificate)
        assert key_pem(key) == made.key_pem


def test_another_key_does_not_belong() -> None:
    assert not belongs_to(load_key(EC.key_pem, "x"), RSA.certificate)
    assert not belongs_to(load_key(EC.key_pem, "x"), forge("other").certificate)


@pytest.mark.parametrize(
    ("pem", "expected"),
    [
        (b"", "key.missing"),
        (EC.pem, "key.missing"),
        (b"no", "key.missing"),
        (EC.key_pem[:-20], "key.cut"),
        (EC.locked(b"secret"), "key.encrypted"),
        (EC.key_pem.replace(b"\n", b"\nAAAA", 1), "key.damaged"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "key.damaged"),
        (forge("x", key=ec.generate_private_key(ec.SECP256K1())).key_pem, "key.unsuitable"),
        (forge("x", key=ed25519.Ed25519PrivateKey.generate()).key_pem, "key.unsuitable"),
        (forge("x", key=rsa.generate_private_key(65537, 1024)).key_pem, "key.weak"),  # noqa: S505
    ],
)
def test_what_is_wrong_with_a_key(pem: bytes, expected: str) -> None:
    assert code(pem) == expected


def test_old_encryption_is_seen() -> None:
    how = serialization.BestAvailableEncryption(b"secret")
    pem = EC.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, how)
    assert b"Proc-Type" in pem
    assert code(pem) == "key.encrypted"
