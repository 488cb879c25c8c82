"""The `backend` sections of one cluster: plain requests, and streams that must not wait; TLS passed through is one more form.

The upstream protocol is HTTP/1.1 throughout: with pooled HTTP/2 one reader that stalls would block its whole cluster.
"""

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend
from kubegate.render.haproxy.global_ import STREAM_TIMEOUT
from kubegate.render.haproxy.text import quote, section

# GETs with these in their path may run something in a pod; a percent sign may hide them.
_NOT_REPEATABLE = "/exec /attach /portforward /proxy %"

_HEALTH_CHECK = [
    "option httpchk",
    "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubegate-health-check hdr Connection close",
    "http-check expect status 200,401,403",
]


def stream_name(backend: Backend) -> str:
    """The name of the backend that carries the cluster's streams."""
    return f"{backend.name}-stream"


def render(backend: Backend, *, opened: bool, files: dict[str, bytes]) -> str:
    """The sections; puts the CA file that they name into `files`. `opened` says that the gate sees HTTP."""
    ca_file = f"{backend.name}-ca.pem"
    if backend.verification:
        files[ca_file] = backend.verification.ca_pem
    if not opened:
        return _passed_through(backend, ca_file)
    return _plain(backend, ca_file) + "\n\n" + _stream(backend, ca_file)


def _plain(backend: Backend, ca_file: str) -> str:
    # Where a pooled connection breaks under a write, HAProxy does not repeat it, but it gives no answer either (see `_stream`).
    # Connections of their own would cost writes a TLS handshake each.
    check = f"check inter 3s fall 2 rise 2 fastinter 1s {_check_tls(backend)}".rstrip()
    return section(
        f"backend {backend.name}",
        [
            "balance leastconn",
            *_HEALTH_CHECK,
            "http-reuse always",
            "retries 2",
            "option redispatch 1",
            "retry-on conn-failure empty-response",
            f"http-request disable-l7-retry unless {{ method GET HEAD }} !{{ path -m sub {_NOT_REPEATABLE} }}",
            *(f"{_server(at)} {_tls(backend, ca_file)} {check}" for at in backend.servers),
        ],
    )


def _stream(backend: Backend, ca_file: str) -> str:
    # A stream may run something. If a connection breaks that was used before, HAProxy answers nothing at all, which clients take
    # for leave to repeat (REFUSED_STREAM in HTTP/2). So each stream has a new connection, and leaves it to nobody.
    return section(
        f"backend {stream_name(backend)}",
        [
            "balance leastconn",
            "option http-no-delay",
            # Without it a watch whose client has left stays open at the API server until there is something to write.
            "option abortonclose",
            "option http-server-close",
            "retries 2",
            "option redispatch 1",
            f"timeout server {STREAM_TIMEOUT}",
            *(f"{_server(at)} {_tls(backend, ca_file)} track {backend.name}/{_server_name(at)}" for at in backend.servers),
        ],
    )


def _passed_through(backend: Backend, ca_file: str) -> str:
    check = f"check inter 3s fall 2 rise 2 fastinter 1s check-ssl {_verified(backend, ca_file)} {_check_tls(backend)}"
    return section(
        f"backend {backend.name}",
        [
            "mode tcp",
            "balance leastconn",
            *_HEALTH_CHECK,
            "retries 2",
            "option redispatch 1",
            "timeout server-fin 1h",
            *(f"{_server(at)} {check}" for at in backend.servers),
        ],
    )


def _server_name(at: Endpoint) -> str:
    # The address itself, so that every message of HAProxy says which server it means; brackets are not allowed in names.
    return f"{at.host}:{at.port}"


def _server(at: Endpoint) -> str:
    return f"server {_server_name(at)} {at}"


def _tls(backend: Backend, ca_file: str) -> str:
    if not backend.tls:
        return ""
    sni = f" sni str({quote(backend.verification.name)})" if backend.verification and backend.verification.send_sni else ""
    return f"ssl alpn http/1.1 {_verified(backend, ca_file)}{sni}"


def _verified(backend: Backend, ca_file: str) -> str:
    if backend.verification is None:
        return "verify none"
    # `verifyhost` also rules where no SNI is sent, and in health checks (configuration manual 5.2).
    return f"verify required ca-file {ca_file} verifyhost {quote(backend.verification.name)}"


def _check_tls(backend: Backend) -> str:
    if not backend.verification or not backend.verification.send_sni:
        return ""
    return f"check-sni {quote(backend.verification.name)}"
