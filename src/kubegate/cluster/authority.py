"""The CA bundle of a kubeconfig's cluster: where it stands, and the certificates in it."""

import re

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kubegate.cluster.fields import Fields
from kubegate.cluster.files import read_file
from kubegate.model.problem import InvalidInput, Problem

_FILE, _DATA = "certificate-authority", "certificate-authority-data"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


def read_authority(fields: Fields) -> tuple[bytes | None, str]:
    """The CA certificates of a cluster as PEM and nothing else, None if it names no CA; and the place that gives them.

    What is wrong is noted in `fields`: both forms given (kubectl refuses that too), unreadable, no certificate in it.
    """
    path, data = fields.path(_FILE), fields.data(_DATA)
    has_data = bool(fields.text(_DATA))
    if has_data and path is not None:
        fields.wrong(_FILE, "ca.both", f"is given beside {_DATA}", "keep one of the two")
    if data is None and (has_data or path is None):
        return None, fields.at(_DATA) if has_data else ""
    where = fields.at(_DATA if data is not None else _FILE)
    try:
        content = data if data is not None or path is None else read_file(path, where, "kubeconfig.ca.unreadable")
        return certificates_only(content or b"", where), where
    except InvalidInput as error:
        fields.note(error.problems)
        return None, where


def certificates_only(pem: bytes, where: str) -> bytes:
    """The certificates of a bundle, written anew; keys, text and blocks that cannot be read are left out, as by kubectl.

    Raises InvalidInput if not one is left.
    """
    found = []
    for block in _CERTIFICATE.findall(pem):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except (ValueError, x509.InvalidVersion):
            continue
    if found:
        return b"".join(one.public_bytes(Encoding.PEM) for one in found)
    message = "holds a private key instead of a CA certificate" if b"PRIVATE KEY-----" in pem else "holds no certificate"
    raise InvalidInput([Problem(where, "kubeconfig.ca.empty", message, "a CA certificate in PEM form is expected")])
