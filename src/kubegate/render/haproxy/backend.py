"""The `backend` sections of one cluster: plain requests, and streams that must not wait; TLS passed through is one more form.

The upstream protocol is HTTP/1.1 throughout: with pooled HTTP/2 one reader that stalls would block its whole cluster.
"""

import hashlib

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Timeouts, Verification
from kubegate.render.haproxy import guards, limits, sources
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.shape import Server
from kubegate.render.haproxy.text import milliseconds, word

# GETs with these in their path may run something in a pod; a percent sign may hide them.
NOT_REPEATABLE = "/exec /attach /portforward /proxy %"
# What the name of a backend that carries streams ends in.
STREAMS = ":stream"
# A server that comes back takes its share step by step (configuration manual 5.2, `slowstart`).
_GRADUALLY = "slowstart 10s"

_HEALTH_CHECK = (
    "option httpchk",
    "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubegate-health-check hdr Connection close",
    "http-check expect status 200,401,403",
)


def stream_name(backend: str) -> str:
    """The name of the backend that carries a cluster's streams."""
    return f"{backend}{STREAMS}"


def names(backend: Backend) -> tuple[str, ...]:
    """The sections of a backend."""
    return (backend.name, stream_name(backend.name)) if backend.opened else (backend.name,)


def server_address(name: str) -> str:
    """The address in a server's name, for messages."""
    return name.rpartition("_")[0] or name


def draw(backend: Backend, draft: Draft) -> None:
    """The sections of one backend, its servers, and the files that they name."""
    if backend.opened:
        _plain(backend, draft)
        _stream(backend, draft)
    else:
        _passed_through(backend, draft)


def _plain(backend: Backend, draft: Draft) -> None:
    # Where a pooled connection breaks under a write, HAProxy does not repeat it, but it gives no answer either (see `_stream`).
    # Connections of their own would cost writes a TLS handshake each.
    lines = [
        f"balance {backend.balance}",
        *_HEALTH_CHECK,
        f"default-server {_checks(backend)}",
        *limits.table(backend),
        "http-reuse always",
        "retries 2",
        "option redispatch 1",
        "retry-on conn-failure empty-response",
        *_timeouts(backend, server=backend.timeouts.request),
        *limits.rules(backend, draft),
        f"http-request disable-l7-retry unless {guards.ORDINARY} or {{ method GET HEAD }} !{{ path -m sub {NOT_REPEATABLE} }}",
    ]
    draft.section(f"backend {backend.name}", lines, backend=backend.name)
    for at in backend.servers:
        name, fixed = _server(backend, at, draft)
        draft.server(backend.name, name, Server(f"{at} {fixed}".rstrip(), _checks(backend)))


def _stream(backend: Backend, draft: Draft) -> None:
    # A stream may run something. If a connection breaks that was used before, HAProxy answers nothing at all, which clients take
    # for leave to repeat (REFUSED_STREAM in HTTP/2). So each stream has a new connection, and leaves it to nobody.
    section = stream_name(backend.name)
    lines = [
        f"balance {backend.balance}",
        # Not `track`: a server that is tracked cannot go while HAProxy runs, and one that came then cannot be tracked.
        *_HEALTH_CHECK,
        f"default-server {_checks(backend)}",
        "option http-no-delay",
        # Without it a watch whose client has left stays open at the API server until there is something to write.
        "option abortonclose",
        "option http-server-close",
        "retries 2",
        "option redispatch 1",
        f"timeout server {milliseconds(backend.timeouts.stream)}",
        *_timeouts(backend),
        *limits.rules(backend, draft),
        *(sources.lines(http=True) if draft.followed else ()),
    ]
    draft.section(f"backend {section}", lines, backend=section)
    for at in backend.servers:
        name, fixed = _server(backend, at, draft)
        draft.server(section, name, Server(f"{at} {fixed}".rstrip(), _checks(backend)))


def _passed_through(backend: Backend, draft: Draft) -> None:
    lines = [
        "mode tcp",
        f"balance {backend.balance}",
        *_HEALTH_CHECK,
        f"default-server {_checks(backend)}",
        "retries 2",
        "option redispatch 1",
        *_timeouts(backend),
        "timeout server-fin 1h",
        *limits.connection_rules(backend, draft),
        *(sources.lines(http=False) if draft.followed else ()),
    ]
    draft.section(f"backend {backend.name}", lines, backend=backend.name)
    for at in backend.servers:
        name, fixed = _server(backend, at, draft)
        draft.server(backend.name, name, Server(f"{at} {fixed}".rstrip(), _checks(backend)))


def _timeouts(backend: Backend, server: int = Timeouts().request) -> list[str]:
    """Lines where the section `defaults` says something else."""
    usual = Timeouts()
    wanted = [
        ("connect", backend.timeouts.connect, usual.connect),
        ("tunnel", backend.timeouts.stream, usual.stream),
        ("server", server, usual.request),
    ]
    return [f"timeout {name} {milliseconds(span)}" for name, span, default in wanted if span != default]


def _server(backend: Backend, at: Endpoint, draft: Draft) -> tuple[str, str]:
    """The name of a server and its TLS: the name says all of it, so that a server with another CA is another server."""
    tls = _tls(backend, draft)
    digest = hashlib.sha256(tls.encode()).hexdigest()[:8]
    # The address comes first, so that every message of HAProxy says which server it means; brackets are not allowed in names.
    return f"{at.host}:{at.port}_{digest}", tls


def _tls(backend: Backend, draft: Draft) -> str:
    """TLS of requests, where it is opened, and of health checks, for which it must be said once more at run time."""
    if not backend.tls:
        return ""
    name = backend.verification.name if backend.verification and backend.verification.send_sni else ""
    opened = f"ssl alpn http/1.1{f' sni str({word(name)})' if name else ''} " if backend.opened else ""
    return f"{opened}check-ssl{f' check-sni {word(name)}' if name else ''} {verified(backend.verification, draft)}"


def verified(verification: Verification | None, draft: Draft) -> str:
    """How a server proves what it is."""
    if verification is None:
        return "verify none"
    # `verifyhost` also rules where no SNI is sent, and in health checks (configuration manual 5.2).
    ca_file = draft.authority(verification.ca_pem)
    return f"verify required ca-file {ca_file} verifyhost {word(verification.name)}"


def _checks(backend: Backend) -> str:
    health = backend.health
    fast = milliseconds(min(health.interval, max(1000, health.interval // 3)))
    return f"check inter {milliseconds(health.interval)} fall {health.fall} rise {health.rise} fastinter {fast} {_GRADUALLY}"
