"""A `frontend` section: one listener, with TLS opened and HTTP guarded, or passed through untouched."""

from kubegate.model.plan import Frontend
from kubegate.render.haproxy import guards, streams
from kubegate.render.haproxy.backend import stream_name
from kubegate.render.haproxy.text import section


def render(front: Frontend, files: dict[str, bytes]) -> str:
    """The section; puts the certificate file that it names into `files`."""
    if front.certificate_pem is None:
        lines = [_bind(front), "mode tcp", "timeout client-fin 1h", f"default_backend {front.backend.name}"]
        return section(f"frontend {front.name}", lines)
    certificate = f"{front.name}.pem"
    files[certificate] = front.certificate_pem
    to_stream = f"use_backend {stream_name(front.backend)} if"
    return section(
        f"frontend {front.name}",
        [
            f"{_bind(front)} ssl crt {certificate} alpn h2,http/1.1",
            "option idle-close-on-response",
            *guards.refusals(),
            *guards.removals(),
            *(f"{to_stream} {condition}" for condition in streams.conditions()),
            f"default_backend {front.backend.name}",
        ],
    )


def _bind(front: Frontend) -> str:
    # Every address means the IPv4 ones too, whatever the system's `net.ipv6.bindv6only` says.
    return f"bind {front.listen} v4v6" if front.listen.host == "::" else f"bind {front.listen}"
