"""The certificate at the other end: what it says, and why it is not trusted, in a sentence with something to do."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from kubegate.cluster.errors import Misnamed, Untrusted
from kubegate.cluster.tls import inquiring_context
from kubegate.model.facts import PeerCertificate
from kubegate.model.names import printable

# X509_V_ERR_*, openssl/x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_CA = (2, 7, 18, 19, 20, 21, 29, 30)
_WRONG_PURPOSE = 26

_LOOK_SECONDS = 3.0
_CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate as shown in a handshake; text is escaped for terminals."""

    parsed: x509.Certificate = field(repr=False)
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    issuer: str
    self_issued: bool
    not_before: datetime
    not_after: datetime

    @property
    def names(self) -> tuple[str, ...]:
        """DNS names, then addresses."""
        return self.dns_names + self.ip_addresses

    @property
    def fact(self) -> PeerCertificate:
        """What the rest of the program needs to know of it."""
        return PeerCertificate(self.dns_names, self.ip_addresses, self.not_after)


def read_leaf(der: bytes) -> Leaf | None:
    """The facts of a certificate, None if it cannot be understood."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        names = _alternative_names(parsed)
        return Leaf(
            parsed=parsed,
            dns_names=tuple(printable(one) for one in names.get_values_for_type(x509.DNSName)) if names else (),
            ip_addresses=tuple(str(one) for one in names.get_values_for_type(x509.IPAddress)) if names else (),
            issuer=printable(parsed.issuer.rfc4514_string()) or "without a name",
            self_issued=parsed.issuer == parsed.subject,
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
        )
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


async def inquire(host: str, port: int, server_name: str | None) -> Leaf | None:
    """What a peer shows to a client with this SNI (None: without), unverified and only to describe it; None if nothing."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            leaf = await handshake(host, port, inquiring_context(), server_name)
    except (OSError, UnicodeError):
        return None
    return leaf


async def handshake(host: str, port: int, context: ssl.SSLContext, server_name: str | None) -> Leaf | None:
    """One TLS handshake and nothing more; `server_name` is sent (if it is a name) and checked as `context` says."""
    _, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=server_name or "", ssl_shutdown_timeout=_CLOSE_SECONDS
    )
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        await _close(writer)
    return read_leaf(shown) if shown else None


def wrong_name(leaf: Leaf, target: str, name: str) -> Misnamed:
    """The certificate is for others."""
    carried = ", ".join(leaf.names) or "no name at all (clients do not look at its common name)"
    return Misnamed(
        f"the certificate of {target} is for {carried}; not for {name}",
        "reach it by one of its names, or set tls-server-name to one of them",
    )


def untrusted(error: ssl.SSLCertVerificationError, leaf: Leaf | None, target: str, name: str, ca_pem: bytes | None) -> Untrusted:
    """Why the certificate of `target` was refused by a client that trusts `ca_pem` and looks for `name`."""
    if leaf is None:
        return Untrusted(f"the certificate of {target} is not trusted: {printable(error.verify_message)}")
    if _is_name_error(error):
        return wrong_name(leaf, target, name)
    now, ours = datetime.now(UTC), f"the certificate of {target}"
    if error.verify_code == _EXPIRED:
        if leaf.not_after < now:
            return Untrusted(f"{ours} expired on {leaf.not_after:%Y-%m-%d %H:%M} UTC", "renew it on the API server")
        return Untrusted(f"a CA certificate that {ours} depends on has expired", "renew the cluster's CA")
    if error.verify_code == _NOT_YET_VALID:
        message = f"{ours} is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC"
        return Untrusted(message, "check the clocks of both machines")
    if error.verify_code in _UNKNOWN_CA:
        return _unknown_ca(leaf, ours, ca_pem)
    if error.verify_code == _WRONG_PURPOSE:
        return Untrusted(f"{ours} is not for TLS servers", "serve with a certificate that has serverAuth")
    return Untrusted(f"{ours} is not trusted: {printable(error.verify_message)}")


def _unknown_ca(leaf: Leaf, ours: str, ca_pem: bytes | None) -> Untrusted:
    if leaf.self_issued:
        message = f"{ours} is self-signed, and it is not the one that is trusted"
        return Untrusted(message, "put the certificate that it shows now into the kubeconfig, once it is known to be right")
    of_same_name = [one for one in _authorities(ca_pem) if one.subject == leaf.parsed.issuer]
    if any(_issued(leaf.parsed, one) for one in of_same_name):
        message = f"{ours} is signed by {leaf.issuer}, which is an intermediate CA; its root is not in the CA bundle"
        return Untrusted(message, "append the root CA certificate to the CA bundle")
    if of_same_name:
        message = f"{ours} is signed by a CA of the expected name ({leaf.issuer}) but with another key"
        return Untrusted(message, "is it another cluster, or was its CA replaced? fetch the current CA certificate")
    message = f"{ours} is signed by a CA that is not trusted: issuer {leaf.issuer}"
    return Untrusted(message, "is it the right address? if so, the kubeconfig needs the CA of this cluster")


def _is_name_error(error: ssl.SSLCertVerificationError) -> bool:
    return error.verify_code in (62, 63, 64)


def _authorities(ca_pem: bytes | None) -> Iterator[x509.Certificate]:
    try:
        yield from x509.load_pem_x509_certificates(ca_pem or b"")
    except ValueError:
        return


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _alternative_names(parsed: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        return
