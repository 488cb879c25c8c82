"""Pins are those of kubeadm: SHA-256 of the public key's DER form."""

import hashlib
import subprocess

import pytest

from kubegate.pki.certificate import load_bundle
from kubegate.pki.pin import parse_pin, pin_of, pinned
from tests.support.forge import forge


def by_openssl(pem: bytes) -> str:
    """The pin as kubeadm's documentation has people make it."""
    public = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem, capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=public, capture_output=True, check=True).stdout
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_it_is_what_openssl_makes_of_the_key() -> None:
    ca = forge("some CA", ca=True)
    [certificate] = load_bundle(ca.pem, "ca.crt")
    assert pin_of(certificate) == by_openssl(ca.pem)


def test_a_renewed_certificate_of_the_same_key_has_the_same_pin_and_another_key_another() -> None:
    ca = forge("some CA", ca=True)
    renewed, other = forge("some CA", ca=True, key=ca.key), forge("some CA", ca=True)
    first, second, third = load_bundle(ca.pem + renewed.pem + other.pem, "ca.crt")
    assert pin_of(first) == pin_of(second) != pin_of(third)
    assert pinned([first, second, third], [pin_of(first)]) == [first, second]
    assert pinned([third], [pin_of(first)]) == []


def test_case_does_not_matter() -> None:
    assert parse_pin(" SHA256:" + "AB" * 32) == "sha256:" + "ab" * 32


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "g" * 64, "sha1:" + "a" * 40, "a" * 64])
def test_anything_else_is_no_pin(text: str) -> None:
    with pytest.raises(ValueError, match="is no pin"):
        parse_pin(text)
