"""The `backend` sections of one context: plain requests, and streams that must not wait; and those of the proxy's own services.

The filters stand here, after all guards: HAProxy ends the rules of a listener early for ordinary reads.
"""

import hashlib

from kubegate.model.proxy_plan import ProxyPlan, Target
from kubegate.render.haproxy import guards
from kubegate.render.haproxy.backend import NOT_REPEATABLE, stream_name, verified
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny
from kubegate.render.haproxy.global_ import STREAM_TIMEOUT
from kubegate.render.haproxy.local import filters
from kubegate.render.haproxy.shape import Server
from kubegate.render.haproxy.text import quote, word

CREDENTIALS_FILE = "credentials.map"
# Values of that file for contexts that need no header, and for those that have no credential any more.
NO_HEADER = "-"
GONE = "!"
_NOT_BESIDE_A_CERTIFICATE = (
    "this context logs in by a client certificate, which the API server would take for the caller's before it looks at the "
    "Authorization of this request"
)


# A path with segments of dots, in the middle and at the end.
DOT_SEGMENTS = ("path,url_dec -m sub /../ /./", "path,url_dec -m end /.. /.")


def draw(target: Target, plan: ProxyPlan, draft: Draft) -> None:
    """Both sections of a context, its server lines and the files that they name."""
    draft.maps.setdefault(CREDENTIALS_FILE, {})[target.key] = credential(target)
    _section(target.key, (*_PLAIN, *_repeating(target)), target, plan, draft)
    _section(stream_name(target.key), _STREAM, target, plan, draft)


def credential(target: Target) -> str:
    """The value of the credentials' file for a context."""
    return GONE if target.gone else target.authorization or NO_HEADER


# What a page of a workload may do that is shown on the proxy's own origin: none of what pages of that origin may.
_SANDBOX = "sandbox allow-scripts allow-forms"
_REPEATED = ("retries 2", "option redispatch 1")
_PLAIN = (
    "http-reuse always",
    *_REPEATED,
    "retry-on conn-failure empty-response",
)
# Within so many seconds after another request a pooled connection is no old one.
_FRESH_SECONDS = 2
# As those of the gate: on a connection of its own, without delay, never repeated.
_STREAM = (
    "option http-no-delay",
    "option abortonclose",
    "option http-server-close",
    *_REPEATED,
    f"timeout server {STREAM_TIMEOUT}",
)


def _repeating(target: Target) -> list[str]:
    """Rules on which requests are repeated when a pooled connection breaks before the answer: reads, after a pause.

    To be able to, HAProxy copies a whole buffer for each (2.8), which costs as much as half of all else. A connection breaks
    while it is idle for long, and those that are busy are not.
    """
    asked = f"proc.asked_{target.key}"
    return [
        f"http-request disable-l7-retry if {{ date,sub({asked}) lt {_FRESH_SECONDS} }}",
        f"http-request set-var({asked}) date",
        f"http-request disable-l7-retry unless {guards.ORDINARY} or {{ method GET HEAD }} !{{ path -m sub {NOT_REPEATABLE} }}",
    ]


def _section(name: str, kind: tuple[str, ...], target: Target, plan: ProxyPlan, draft: Draft) -> None:
    lines = [
        "balance leastconn",
        *kind,
        *filters.rules(plan.filters),
        *_identity(target, plan),
        f"http-request set-header Host {quote(target.host)}",
        *([_no_way_out()] if target.path and target.append else ()),
        *([f"http-request set-path {_literal(target.path)}%[path]"] if target.path and target.append else ()),
        f"http-response lua.unauthorized {target.key} if {{ status 401 }}",
        *(
            [f"http-response add-header Content-Security-Policy {quote(_SANDBOX)} if {{ var(txn.proxied) -m found }}"]
            if plan.page
            else ()
        ),
    ]
    draft.section(f"backend {name}", lines, backend=name)
    _servers(name, target, draft)


def _no_way_out() -> str:
    """The filters have not seen the path of the server's URL, and who resolves dots before the API server might leave it."""
    message = "this path has segments of dots, which may lead out of the path of the server's URL"
    return deny(
        400, message, f"if {{ path -m sub /. % }} {{ {DOT_SEGMENTS[0]} }} or {{ path -m sub /. % }} {{ {DOT_SEGMENTS[1]} }}"
    )


def _identity(target: Target, plan: ProxyPlan) -> list[str]:
    own = "{ req.fhdr(authorization) -m found }"
    passes = plan.admission.authorization
    found = [
        f"http-request set-var(txn.credential) str({target.key}),map_str({CREDENTIALS_FILE})",
        deny(
            503,
            "the proxy has no credential for this context at this moment; it has said why when that happened",
            f"if {{ var(txn.credential) -m str {GONE} }} or !{{ var(txn.credential) -m found }}",
        ),
        *([deny(403, _NOT_BESIDE_A_CERTIFICATE, f"if {own}")] if passes and target.pair else []),
        "http-request set-header Authorization %[var(txn.credential)]"
        f" if {{ var(txn.credential) -m len gt {len(NO_HEADER)} }}{f' !{own}' if passes else ''}",
    ]
    unless = []
    if plan.admission.impersonation and target.impersonation:
        found.append("http-request set-var(txn.as) bool(true) if { req.hdr_names(:) -m sub impersonate- }")
        unless.append("!{ var(txn.as) -m found }")
    condition = f" if {' '.join(unless)}" if unless else ""
    found += [f"http-request add-header {word(name)} {_literal(value)}{condition}" for name, value in target.impersonation]
    return found


def _literal(text: str) -> str:
    """Text where a log format stands (configuration manual 8.2.6): a percent sign begins something there."""
    return quote(text.replace("%", "%%"))


def _servers(section: str, target: Target, draft: Draft) -> None:
    if not target.servers:
        return
    tls = _tls(target, draft)
    at = [(f"unix@{target.relay}", "relay")] if target.relay else [(str(one), f"{one.host}:{one.port}") for one in target.servers]
    for address, name in at:
        digest = hashlib.sha256(f"{address} {tls}".encode()).hexdigest()[:8]
        draft.server(section, f"{name}_{digest}", Server(f"{address} {tls}".rstrip(), ""))


def _tls(target: Target, draft: Draft) -> str:
    if not target.tls:
        return ""
    name = target.verification.name if target.verification and target.verification.send_sni else ""
    pair = ""
    if target.pair:
        file = f"client-{hashlib.sha256(target.pair).hexdigest()[:12]}.pem"
        draft.pairs[file] = target.pair
        pair = f" crt {file}"
    return f"ssl alpn http/1.1{f' sni str({word(name)})' if name else ''} {verified(target.verification, draft)}{pair}"


def draw_own(plan: ProxyPlan, draft: Draft) -> None:
    """What the proxy answers itself: static files, behind the filters, and the page of the one-time URL."""
    if plan.static is not None:
        lines = [*filters.rules(plan.filters), "http-request del-header authorization"]
        draft.section("backend static", [*lines, f"server files unix@{plan.static.socket}"])
    if plan.page:
        lines = [
            *filters.rules(plan.filters),
            "http-request del-header authorization",
            "http-request set-header X-Kubegate-Context %[var(txn.target)]",
        ]
        draft.section("backend page", [*lines, f"server page unix@{plan.site_socket}"])
    if plan.site_socket:
        draft.section("backend own", [f"server site unix@{plan.site_socket}"])
