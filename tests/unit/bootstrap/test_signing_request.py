"""A request is read in one way or not at all."""

import base64
import textwrap

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from kubegate.bootstrap.signing_request import NotOneRequest, read_request
from tests.support.requests import NODES, names, request, subject, with_extensions_twice

ONE = request()
SERVING = request(claimed=names("worker-1", "10.0.0.7", "2001:db8::7"))


def test_what_a_node_asks_for() -> None:
    found = read_request(SERVING)
    assert (found.common_names, found.organizations, found.other_attributes) == (("system:node:worker-1",), (NODES,), ())
    assert (found.dns_names, found.ip_addresses) == (("worker-1",), ("10.0.0.7", "2001:db8::7"))
    assert (found.emails, found.uris, found.other_names, found.extensions) == ((), (), 0, ())
    assert found.key == "ECDSA secp256r1"
    assert len(found.key_sha256) == 64


def test_everything_else_that_is_asked_for_is_told() -> None:
    claimed = [
        x509.RFC822Name("a@b.example"),
        x509.UniformResourceIdentifier("spiffe://a"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    of = x509.Name([*subject("a", "b", "c"), x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "d")])
    found = read_request(request(claimed=claimed, of=of, more=[constraints], by=rsa.generate_private_key(65537, 2048)))
    assert (found.common_name, found.organizations, found.other_attributes) == ("a", ("b", "c"), ("2.5.4.11",))
    assert (found.emails, found.uris, found.other_names) == (("a@b.example",), ("spiffe://a",), 1)
    assert (found.extensions, found.key) == (("2.5.29.19",), "RSA 2048")


def test_the_last_of_two_common_names_counts_and_both_are_told() -> None:
    of = x509.Name([*subject("innocent"), *subject("evil")])
    found = read_request(request(of=of))
    assert (found.common_name, found.common_names) == ("evil", ("innocent", "evil"))


def _rewrapped(pem: bytes, width: int) -> bytes:
    body = base64.b64encode(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)).decode()
    lines = "\n".join(textwrap.wrap(body, width))
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n".encode()


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no PEM",
        ONE + request("evil"),
        ONE.replace(b"-----END CERTIFICATE REQUEST-----\n", b"-----END CERTIFICATE REQUEST-----") + request("evil"),
        b"x" + ONE,
        b"x" + ONE + request("evil"),
        b"\n" + ONE,
        ONE + b"\n",
        ONE + b"trailing",
        ONE.replace(b"-----\n", b"-----\nA: b\n\n", 1),
        ONE.replace(b"\n", b"\r\n"),
        ONE.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
        ONE.rstrip(b"\n"),
        _rewrapped(ONE, 48),
        ONE[:100],
    ],
)
def test_any_other_form_is_refused(pem: bytes) -> None:
    assert _rewrapped(ONE, 64) == ONE
    with pytest.raises(NotOneRequest):
        read_request(pem)


def test_extensions_in_two_places_are_refused() -> None:
    pem = with_extensions_twice("system:node:a", "a", "evil")
    seen = x509.load_pem_x509_csr(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert seen.get_values_for_type(x509.DNSName) == ["a"]
    with pytest.raises(NotOneRequest, match="two places"):
        read_request(pem)


def test_a_request_that_its_own_key_did_not_sign_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(ONE).public_bytes(Encoding.DER))
    der[der.index(b"worker-1")] = ord("x")
    pem = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(NotOneRequest, match="signature"):
        read_request(pem)


@given(st.integers(0, len(SERVING) - 1), st.integers(0, 255))
def test_no_change_of_a_byte_is_read_as_another_request(place: int, value: int) -> None:
    changed = SERVING[:place] + bytes([value]) + SERVING[place + 1 :]
    try:
        found = read_request(changed)
    except NotOneRequest:
        assert changed != SERVING
    else:
        assert found == read_request(SERVING)


@given(st.binary(max_size=200))
def test_whatever_stands_around_it_is_refused(text: bytes) -> None:
    for pem in (text + ONE, ONE + text) if text else ():
        with pytest.raises(NotOneRequest):
            read_request(pem)
