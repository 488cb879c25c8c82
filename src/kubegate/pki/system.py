"""Where this machine keeps the CAs that it trusts for the whole internet."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

_KNOWN = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Alpine, Arch
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora, RHEL
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # RHEL in containers
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),  # Alpine without ca-certificates
)


def system_ca_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The bundle of CAs that the system trusts, None if there is none.

    `SSL_CERT_FILE` decides alone where it is set (as for Go and OpenSSL): nothing broader stands in for a file that is
    missing. Else it is what Python's OpenSSL was built with, else a path that distributions are known to use.
    """
    if given := environ.get("SSL_CERT_FILE"):
        return Path(given) if Path(given).is_file() else None
    built_in = Path(ssl.get_default_verify_paths().openssl_cafile)
    return next((path for path in (built_in, *_KNOWN) if path.is_file()), None)
