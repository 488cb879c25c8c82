"""Private keys: made, read from PEM, judged, written back without passphrase. Never shown."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from kubegate.model.certificate_kinds import Kind
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.pem import blocks, is_cut_off

_LEAST_RSA_BITS = 2048
# The curves that Go's crypto/tls and browsers speak in handshakes.
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

FrontKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def make_key(kind: Kind = Kind.P256) -> FrontKey:
    """A new key."""
    if kind is Kind.P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))


def kind_of(key: FrontKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    """What a key is, in words."""
    return f"RSA {key.key_size}" if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else f"ECDSA {key.curve.name}"


def same_kind(key: FrontKey) -> FrontKey:
    """A new key of the kind of another one."""
    if isinstance(key, rsa.RSAPrivateKey):
        return rsa.generate_private_key(public_exponent=65537, key_size=key.key_size)
    return ec.generate_private_key(key.curve)


def load_key(pem: bytes, where: str) -> FrontKey:
    """The first private key of a PEM text. Raises InvalidInput if there is none, or none that HAProxy could show."""
    keys = [block for block in blocks(pem) if block.is_key]
    if not keys:
        raise InvalidInput([_no_key(pem, where)])
    first = keys[0]
    if first.is_encrypted:
        hint = "decrypt it: openssl pkey -in FILE -out NEWFILE (as the user that runs the gate, mode 0600)"
        raise InvalidInput([_problem(where, "encrypted", "the private key is encrypted with a passphrase", hint)])
    try:
        key = serialization.load_pem_private_key(first.text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "a key is expected as openssl writes it: PKCS #8, PKCS #1 or SEC 1 in PEM"
        raise InvalidInput([_problem(where, "damaged", "the private key cannot be read", hint)]) from None
    return _suitable(key, where)


def key_pem(key: FrontKey) -> bytes:
    """The key as unencrypted PKCS #8."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def belongs_to(key: FrontKey, certificate: x509.Certificate) -> bool:
    """Whether the certificate was issued for this key."""
    try:
        return key.public_key() == certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def suitable_public(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    """Why TLS clients would not take a key; empty if they do."""
    if isinstance(key, rsa.RSAPublicKey):
        return "" if key.key_size >= _LEAST_RSA_BITS else _weak(key.key_size)
    return "" if isinstance(key.curve, _CURVES) else _unspoken(key.curve)


def _weak(bits: int) -> str:
    return f"the RSA key has {bits} bits, clients refuse less than {_LEAST_RSA_BITS}"


def _unspoken(curve: ec.EllipticCurve) -> str:
    return f"the key is on the curve {curve.name}, which TLS clients do not speak"


def _suitable(key: PrivateKeyTypes, where: str) -> FrontKey:
    hint = "use an ECDSA key on P-256, or RSA of 2048 bits or more"
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size >= _LEAST_RSA_BITS:
            return key
        raise InvalidInput([_problem(where, "weak", _weak(key.key_size), hint)])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if isinstance(key.curve, _CURVES):
            return key
        raise InvalidInput([_problem(where, "unsuitable", _unspoken(key.curve), hint)])
    raise InvalidInput([_problem(where, "unsuitable", "the private key is neither RSA nor ECDSA", hint)])


def _no_key(pem: bytes, where: str) -> Problem:
    if is_cut_off(pem):
        return _problem(where, "cut", "a PEM block begins but does not end: the file was cut off")
    if any(block.label == "CERTIFICATE" for block in blocks(pem)):
        return _problem(where, "missing", "holds a certificate but no private key", "name the key's own file")
    if not pem.strip():
        return _problem(where, "missing", "is empty, a private key was expected")
    return _problem(where, "missing", "holds no private key in PEM form")


def _problem(where: str, code: str, message: str, hint: str = "") -> Problem:
    return Problem(where, f"key.{code}", message, hint)
