"""What can be chosen about certificates, by the words that people type."""

from enum import StrEnum


class Purpose(StrEnum):
    """What a certificate is for."""

    SERVER = "server"
    CLIENT = "client"


class Kind(StrEnum):
    """Keys that can be made: ECDSA on P-256, which everybody speaks and which costs least, or RSA."""

    P256 = "ecdsa-p256"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"


class Form(StrEnum):
    """`pem`: two files; `bundle`: one, as HAProxy reads it; `secret`: a manifest; `pkcs12`: for Java and Windows."""

    PEM = "pem"
    BUNDLE = "bundle"
    SECRET = "secret"  # noqa: S105 - the name of a form
    PKCS12 = "pkcs12"


class Store(StrEnum):
    """`system`: what curl, Go and OpenSSL read. `nss`: the user's own databases, of Chromium and Firefox."""

    SYSTEM = "system"
    NSS = "nss"
