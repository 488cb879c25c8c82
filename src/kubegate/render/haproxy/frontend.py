"""The `frontend` sections: a listener with TLS opened and HTTP guarded, passed through untouched, or both by name.

Which cluster a request reaches is decided by SNI. Those that send none are led by `Host` if it names a cluster whose TLS is
opened, else to the default cluster. A `Host` that names another cluster than the SNI is refused (RFC 9110, section 7.4); with a
SNI it may be any address, and any name that is no cluster's, for a client may have dialled what leads here.
"""

import hashlib

from kubegate.model.plan import Frontend, Plan, Process, Shown
from kubegate.render.haproxy import access_log, clients, guards, routes, streams
from kubegate.render.haproxy.backend import stream_name
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny
from kubegate.render.haproxy.listened import listened
from kubegate.render.haproxy.ranges import written
from kubegate.render.haproxy.routes import NO_NAME, NOT_OPENED
from kubegate.render.status_text import ANOTHER_CLUSTER, NO_NAME_GIVEN, NOT_OPENED_HERE, UNKNOWN_NAME


def opened_name(front: Frontend) -> str:
    """The section in which a listener opens TLS."""
    return f"{front.name}:opened" if front.hops else front.name


def draw(front: Frontend, plan: Plan, draft: Draft, sockets: str) -> None:
    """The sections of a listener, and the files that they name; `sockets` is the folder for a socket of its own."""
    bind = _bind(front, plan, draft)
    draft.maps.update({file: dict(entries) for file, entries in routes.lookups(front).items()})
    if not front.opens and front.sole:
        lines = [*bind, "mode tcp", "timeout client-fin 1h", f"default_backend {front.default}"]
        draft.section(f"frontend {front.name}", lines)
    elif not front.passes:
        _opened(front, draft, front.name, bind, log=plan.process.access_log)
    else:
        _split(front, plan.process, draft, sockets, bind)


def _split(front: Frontend, process: Process, draft: Draft, sockets: str, bind: list[str]) -> None:
    """Names are read from the TLS greeting; what is to be opened takes a hop to a listener of its own."""
    names = routes.passed_file(front)
    hop = opened_name(front)
    named = "{ var(txn.cluster) -m found }"
    lines = [
        *bind,
        "mode tcp",
        # Where there is a hop, HAProxy may carry more, so that each of these connections can take it.
        *([f"maxconn {process.max_connections}"] if process.max_connections else ()),
        "timeout client-fin 1h",
        "tcp-request inspect-delay 10s",
        # What extensions a greeting has is known only when it is complete, other than whether it is one.
        "tcp-request content reject unless { req.ssl_st_ext -m found }",
        f"tcp-request content set-var(txn.cluster) req.ssl_sni,lower,rtrim(.),map_str({names})",
    ]
    if front.opens:
        lines += [f"use_backend %[var(txn.cluster)] if {named}", f"default_backend {hop}"]
    else:
        lines += [
            f"tcp-request content reject unless {named}",
            "use_backend %[var(txn.cluster)]",
        ]
    draft.section(f"frontend {front.name}", lines)
    if front.opens:
        # Short, for so are the paths of sockets; by the name, so that workers of other configurations find each other's.
        socket = f"unix@{sockets}{hashlib.sha256(front.name.encode()).hexdigest()[:6]}.sock"
        draft.section(f"backend {hop}", ["mode tcp", "timeout server-fin 1h", f"server {front.name} {socket} send-proxy-v2"])
        _opened(front, draft, hop, [f"bind {socket} mode 600 accept-proxy"], log=process.access_log)


def _opened(front: Frontend, draft: Draft, section: str, bind: list[str], *, log: bool) -> None:
    bound, *connection_rules = bind
    lines = [
        f"{bound} ssl {_certificates(front, draft)} alpn h2,http/1.1{clients.bind_options(front.clients, draft)}",
        *connection_rules,
        "option idle-close-on-response",
        *(access_log.lines() if log else ()),
        *clients.rules(front, draft),
        *(() if front.sole else _routing(front)),
        # For most requests the rules end here, so whatever concerns all of them comes before.
        *guards.shortcut(),
        *guards.refusals(),
        *guards.removals(),
        *guards.approval(),
        *clients.streams(front),
    ]
    stream, plain = "%[var(txn.cluster)]:stream", "%[var(txn.cluster)]"
    if front.sole and front.default is not None:
        stream, plain = stream_name(front.default), front.default
    lines.append(f"use_backend {plain} if {guards.ORDINARY}")
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


def _routing(front: Frontend) -> list[str]:
    names, addresses = routes.names_file(front), routes.addresses_file(front)
    unnamed, unknown = "!{ ssl_fc_has_sni }", "!{ var(txn.host) -m found }"
    return [
        f"http-request set-var(txn.cluster) ssl_fc_sni,lower,rtrim(.),map_str({names})",
        f"http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.),map_str({names})",
        f"http-request set-var(txn.host) req.hdr(host),host_only,ltrim([),rtrim(]),map_ip({addresses}) if {unnamed} {unknown}",
        f"http-request set-var(txn.cluster) var(txn.host) if {unnamed}",
        f"http-request set-var(txn.cluster) str({NO_NAME}),map_str({names}) if {unnamed} {unknown}",
        deny(421, NO_NAME_GIVEN, f"if {unnamed} !{{ var(txn.cluster) -m found }}"),
        deny(421, UNKNOWN_NAME, "unless { var(txn.cluster) -m found }"),
        deny(421, NOT_OPENED_HERE, f"if {{ var(txn.cluster) -m beg {NOT_OPENED} }}"),
        deny(421, ANOTHER_CLUSTER, "if { var(txn.host) -m found } !{ var(txn.host),strcmp(txn.cluster) eq 0 }"),
    ]


def _bind(front: Frontend, plan: Plan, draft: Draft) -> list[str]:
    line = f"bind {listened(front.listen, plan)}"
    if front.proxy_from is None:
        return [line]
    senders = f"{front.name}-senders.ranges"
    draft.ranges[senders] = written(front.proxy_from)
    # From anybody else such a line is no TLS greeting, and ends the connection.
    return [line, f"tcp-request connection expect-proxy layer4 if {{ src -f {senders} }}"]
