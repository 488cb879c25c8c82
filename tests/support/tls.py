"""Who shows which certificate in the tests of the gate: an API server, the gate, and what clients trust."""

import functools
import ssl
from datetime import timedelta

from tests.support.forge import Forged, Key, forge, serving

API_NAME = "kubernetes.default.svc"
GATE_NAME = "gate.test"


def authority(name: str) -> Forged:
    """A certificate authority, which forgot how young it is."""
    return forge(name, ca=True, usages=None, since=timedelta(days=60))


@functools.cache
def cluster_authority() -> Forged:
    """The CA of the API servers."""
    return authority("cluster test CA")


@functools.cache
def front_authority() -> Forged:
    """The CA of the gate's own certificate."""
    return authority("gate test CA")


@functools.cache
def api_leaf() -> Forged:
    """The certificate of an honest API server."""
    return forge("kube-apiserver", cluster_authority(), names=[API_NAME, "kubernetes", "127.0.0.1"])


def gate_leaf(key: Key | None = None) -> Forged:
    """A certificate for the gate to show."""
    return forge("gate", front_authority(), names=[GATE_NAME, "127.0.0.1", "::1"], key=key)


@functools.cache
def gate_pem() -> bytes:
    """The certificate that gates show, with its key."""
    return whole(gate_leaf())


def whole(leaf: Forged) -> bytes:
    """Key and certificate as one PEM."""
    return leaf.key_pem + leaf.pem


def server_context(leaf: Forged, client_ca: Forged | None = None) -> ssl.SSLContext:
    """For a server that shows `leaf`, and asks for a client certificate if `client_ca` is given."""
    context = serving(whole(leaf))
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_ca.pem.decode())
    return context


def client_context(trusted: Forged) -> ssl.SSLContext:
    """For a client that trusts this authority alone."""
    return ssl.create_default_context(cadata=trusted.pem.decode())
