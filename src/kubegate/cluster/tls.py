"""TLS contexts of a client that trusts one CA bundle and nothing else."""

import os
import ssl

from kubegate.cluster.errors import Untrusted

_STRICT = ssl.VerifyFlags.VERIFY_X509_STRICT
_PARTIAL = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def verifying_context(ca_pem: bytes | None, *, intermediates_suffice: bool) -> ssl.SSLContext:
    """TLS 1.2 or later, verified by the CAs in `ca_pem` (None: the system's), by name and never by common name.

    `intermediates_suffice` says whether an intermediate CA or a leaf in the bundle is trusted by itself: so do Go and
    kubectl, while HAProxy and OpenSSL ask for a root. Raises Untrusted if the bundle holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    # Python 3.13 sets both by itself; API servers with old CAs fail the strict one, and nobody else asks for it.
    context.verify_flags &= ~(_STRICT | _PARTIAL)
    if intermediates_suffice:
        context.verify_flags |= _PARTIAL
    if ca_pem is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, ca_pem)
    return context


def _trust(context: ssl.SSLContext, ca_pem: bytes) -> None:
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise Untrusted("the CA bundle holds no certificate", "put the cluster's CA into the kubeconfig") from None


def inquiring_context() -> ssl.SSLContext:
    """Verifies nothing: only for looking at the certificate of a peer that was refused. Nothing may be sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_client_pair(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    """Present a client certificate (PEM, unencrypted key). The key touches memory only, no file on a disk.

    Raises ssl.SSLError if the two do not fit, OSError if the system has no memory files.
    """
    descriptor = os.memfd_create("client-pair")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(certificate_pem.rstrip() + b"\n" + key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
