"""A port of a Service, as the API server's service proxy names it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# RFC 1123 labels, and RFC 1035 ones for names of services; ports have names of at most 15 characters (RFC 6335) or a number.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}|(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A namespace, a Service in it, one of its ports by name or number, and how the API server is to speak with it."""

    namespace: str
    service: str
    port: str
    scheme: str = "http"

    @property
    def path(self) -> str:
        """The path by which the API server leads there, without a slash at its end."""
        scheme = "https:" if self.scheme == "https" else ""
        return f"/api/v1/namespaces/{self.namespace}/services/{scheme}{self.service}:{self.port}/proxy"


def read_service(document: Mapping[str, object]) -> ServiceRef:
    """A service as JSON says it. Raises ValueError with what is wrong."""
    namespace, service, port = (_text(document, key) for key in ("namespace", "service", "port"))
    scheme = _text(document, "scheme")
    for what, text, pattern in (("namespace", namespace, _LABEL), ("service", service, _LABEL), ("port", port, _PORT)):
        if not pattern.fullmatch(text):
            raise ValueError(f"{what} is not one that Kubernetes has")
    if scheme not in _SCHEMES:
        raise ValueError("scheme is neither http nor https")
    return ServiceRef(namespace, service, port, scheme)


def _text(document: Mapping[str, object], key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str):
        raise ValueError(f"{key} is missing, or is no text")
    return found
