"""The `frontend` sections: a listener with TLS opened and HTTP guarded, passed through untouched, or both by name.

Which cluster a request reaches is decided by SNI. Those that send none are led by `Host` if it names a cluster whose TLS is
opened, else to the default cluster. A `Host` that names another cluster than the SNI is refused (RFC 9110, section 7.4).
"""

import hashlib

from kubegate.model.plan import Frontend, Route, Shown
from kubegate.render.haproxy import access_log, guards, streams
from kubegate.render.haproxy.backend import stream_name
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny

# In the map of names these stand before backends whose TLS is not opened; no backend's name begins so.
_PASSED = "!"
_NAME_HINT = "set server or tls-server-name in your kubeconfig to the name of a cluster"


def draw(front: Frontend, draft: Draft, sockets: str, *, log: bool = False) -> None:
    """The sections of a listener, and the files that they name; `log` says that requests are logged."""
    if not front.opens and front.sole:
        lines = [*_bind(front, draft), "mode tcp", "timeout client-fin 1h", f"default_backend {front.default}"]
        draft.section(f"frontend {front.name}", lines)
    elif not front.passes:
        _opened(front, draft, front.name, _bind(front, draft), log=log)
    else:
        _split(front, draft, sockets, log=log)


def _split(front: Frontend, draft: Draft, sockets: str, *, log: bool) -> None:
    """Names are read from the TLS greeting; what is to be opened takes a hop to a listener of its own."""
    passed = {route.host: route.backend for route in front.routes if not route.opened}
    names = f"{front.name}-passthrough.map"
    draft.maps[names] = passed
    hop = f"{front.name}:opened"
    draft.section(
        f"frontend {front.name}",
        [
            *_bind(front, draft),
            "mode tcp",
            "timeout client-fin 1h",
            "tcp-request inspect-delay 10s",
            f"tcp-request content set-var(txn.cluster) req.ssl_sni,lower,rtrim(.),map_str({names})",
            "tcp-request content accept if { req.ssl_hello_type 1 }",
            "tcp-request content reject",
            "use_backend %[var(txn.cluster)] if { var(txn.cluster) -m found }",
            f"default_backend {hop}" if front.opens else "",
        ],
    )
    if front.opens:
        socket = f"unix@{sockets}{front.name}-opened.sock"
        draft.section(f"backend {hop}", ["mode tcp", "timeout server-fin 1h", f"server {front.name} {socket} send-proxy-v2"])
        _opened(front, draft, hop, [f"bind {socket} mode 600 accept-proxy"], log=log)


def _opened(front: Frontend, draft: Draft, section: str, bind: list[str], *, log: bool) -> None:
    bound, *connection_rules = bind
    lines = [
        f"{bound} ssl {_certificates(front, draft)} alpn h2,http/1.1",
        *connection_rules,
        "option idle-close-on-response",
        *(access_log.lines() if log else ()),
        *guards.refusals(),
        *(() if front.sole else _routing(front, draft)),
        *guards.removals(),
    ]
    stream, plain = "%[var(txn.cluster)]:stream", "%[var(txn.cluster)]"
    if front.sole and front.default is not None:
        stream, plain = stream_name(front.default), front.default
    lines += [f"use_backend {stream} if {condition}" for condition in streams.conditions()]
    lines.append(f"default_backend {plain}" if front.sole else f"use_backend {plain}")
    draft.section(f"frontend {section}", lines)


def _certificates(front: Frontend, draft: Draft) -> str:
    """The argument of `bind` that names them. The first of a list cannot go while HAProxy runs, so it is a place of its own."""
    first = f"{front.name}.pem"
    draft.certificates[first] = front.certificates[0].pem
    if front.sole:
        return f"crt {first}"
    lines: dict[str, str] = {}
    for shown in front.certificates:
        if shown.hosts:
            file = _file(front, shown)
            draft.certificates[file] = shown.pem
            lines[file] = f"{file} {' '.join(shown.hosts)}"
    name = f"{front.name}-certificates.list"
    # Without a filter it would also be shown for every name that stands in it.
    draft.lists[name] = (f"{first} first.invalid", lines)
    return f"crt-list {name}"


def _file(front: Frontend, shown: Shown) -> str:
    # A list cannot have the names of a certificate changed, so other names are another file.
    names = hashlib.sha256(" ".join(shown.hosts).encode()).hexdigest()[:8]
    return f"{front.name}-{shown.name}-{names}.pem"


def _routing(front: Frontend, draft: Draft) -> list[str]:
    names = f"{front.name}-hosts.map"
    draft.maps[names] = {route.host: _target(route) for route in front.routes}
    host = f"req.hdr(host),host_only,lower,rtrim(.),map_str({names})"
    unnamed = "!{ ssl_fc_has_sni }"
    rules = [
        f"http-request set-var(txn.cluster) ssl_fc_sni,lower,rtrim(.),map_str({names})",
        f"http-request set-var(txn.host) {host}",
        f"http-request set-var(txn.cluster) var(txn.host) if {unnamed} {{ var(txn.host) -m found }}",
    ]
    if front.default is not None:
        rules.append(f"http-request set-var(txn.cluster) str({front.default}) if {unnamed} !{{ var(txn.host) -m found }}")
    else:
        message = f"this connection names no cluster: it has no SNI, and its Host is none of a cluster here; {_NAME_HINT}"
        rules.append(deny(421, message, f"if {unnamed} !{{ var(txn.cluster) -m found }}"))
    return [
        *rules,
        deny(421, f"no cluster behind this gate has this name; {_NAME_HINT}", "unless { var(txn.cluster) -m found }"),
        deny(
            421,
            f"the Host is a cluster whose TLS is not opened here; {_NAME_HINT}",
            f"if {{ var(txn.cluster) -m beg {_PASSED} }}",
        ),
        deny(
            421,
            "the Host names another cluster than the TLS connection (SNI); open a connection to that name",
            "if { var(txn.host) -m found } !{ var(txn.host),strcmp(txn.cluster) eq 0 }",
        ),
    ]


def _target(route: Route) -> str:
    return route.backend if route.opened else f"{_PASSED}{route.backend}"


def _bind(front: Frontend, draft: Draft) -> list[str]:
    # Every address means the IPv4 ones too, whatever the system's `net.ipv6.bindv6only` says.
    line = f"bind {front.listen} v4v6" if front.listen.host == "::" else f"bind {front.listen}"
    if front.proxy_from is None:
        return [line]
    senders = f"{front.name}-senders.ranges"
    draft.ranges[senders] = front.proxy_from
    # From anybody else such a line is no TLS greeting, and ends the connection.
    return [line, f"tcp-request connection expect-proxy layer4 if {{ src -f {senders} }}"]
