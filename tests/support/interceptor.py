"""A person in the middle: whoever connects is shown a certificate that they made themselves, and all that comes is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.forge import forge
from tests.support.tls import API_NAME
from tests.support.upstream import Exchange, Upstream

_NAMES = (API_NAME, "kubernetes", "localhost", "127.0.0.1", "one.test")


def _make_up(exchange: Exchange) -> None:
    """Any answer will do: 404 in the words of an API server."""
    body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"made up","reason":"NotFound","code":404}'
    exchange.reply(404, "Content-Type: application/json", body=body)


@contextmanager
def interceptor(port: int, *, tls: bool = True) -> Iterator[Upstream]:
    """Somebody who has taken a port on loopback, with a self-signed certificate for every name that may be asked for."""
    leaf = forge("kube-apiserver", names=list(_NAMES)) if tls else None
    with Upstream(leaf=leaf, port=port) as taken:
        taken.at("/", _make_up)
        yield taken
