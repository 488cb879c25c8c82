"""The `frontend` sections of the local proxy: who asks, for which context, and which of its two backends takes it."""

from kubegate.model.filters import Filters
from kubegate.model.proxy_plan import CLUSTERS_PATH, OWN_PATH, Listener, ProxyPlan, Target, usual_hosts
from kubegate.render.haproxy import guards, streams
from kubegate.render.haproxy.backend import stream_name
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny
from kubegate.render.haproxy.local import access_log, admission
from kubegate.render.haproxy.local.backend import DOT_SEGMENTS
from kubegate.render.haproxy.text import quote

CONTEXTS_FILE = "contexts.map"


def draw(listener: Listener, plan: ProxyPlan, draft: Draft) -> None:
    """The section of a listener, and the files that it names."""
    bind = f"bind {listener.address or f'fd@{listener.descriptor}'}"
    if listener.pem:
        file = f"{listener.name}.pem"
        draft.certificates[file] = listener.pem
        bind += f" ssl crt {file} alpn h2,http/1.1"
    lines = [
        bind,
        "option idle-close-on-response",
        *(access_log.lines() if plan.log else ()),
        *admission.token_rules(listener, plan.admission),
        *_host(listener, plan.filters),
        *(_service(listener) if listener.service else _places(listener, plan, draft)),
        *admission.rules(listener, plan),
        *(_proxied() if plan.page and not listener.service else ()),
    ]
    draft.section(f"frontend {listener.name}", [*lines, *_led(listener, plan)])


def _host(listener: Listener, filters: Filters) -> list[str]:
    """`txn.host` is what the filters see."""
    if not listener.hosts and usual_hosts(filters):
        # Whoever reaches a unix socket is the owner, whatever host it names.
        return ["http-request set-var(txn.host) str(localhost)"]
    return ["http-request set-var(txn.host) req.fhdr(host)"]


def _places(listener: Listener, plan: ProxyPlan, draft: Draft) -> list[str]:
    """Takes the prefix, the context and the path of the server's URL off; `txn.path` is what the filters see."""
    targets = plan.targets if listener.several else (plan.target(listener.target),)
    found: list[str] = []
    if plan.static is not None:
        found.append(_static(plan.static.prefix, plan.prefix))
    if plan.strips:
        found += _prefix(plan)
    if listener.several:
        found += _slash() if plan.page else []
        draft.maps[CONTEXTS_FILE] = contexts(plan)
        found += _context(listener)
    if plan.prefix != "/" and not plan.strips:
        found += _prefix(plan)
    for target in targets:
        if target.path and target.append:
            found += _server_path(target, several=listener.several)
    if plan.page:
        found += _page(plan, listener.target, several=listener.several)
    found.append("http-request set-var(txn.path) path")
    for target in targets:
        if target.path and not target.append:
            found += _shown_path(target, several=listener.several)
    return found


_FROM_BROWSERS = "{ method GET } { req.hdr(accept) -m sub text/html }"


def _page(plan: ProxyPlan, key: str, *, several: bool) -> list[str]:
    """The proxy's own pages. `/` is one for browsers only, and where files of the user are there it is theirs."""
    free = " !{ var(txn.own) -m found }"
    found = [f"http-request set-var(txn.own) str(page) if {{ path -m beg {OWN_PATH} }}{free}"]
    if plan.static is None or plan.static.prefix != "/":
        found.append(f"http-request set-var(txn.own) str(page) if {{ path -m str / }} {_FROM_BROWSERS}{free}")
    if not several:
        found.append(f"http-request set-var(txn.target) str({key}) if {{ var(txn.own) -m str page }}")
    return found


def _proxied() -> list[str]:
    """What a workload may answer to: a page of its own that is shown here must not be one of this origin."""
    return [
        "http-request set-var(txn.proxied) bool(true) if { path -m sub /proxy/ } or { path -m end /proxy } or { path -m sub % }"
    ]


def _slash() -> list[str]:
    """A browser finds what belongs to the page of a context only where its path ends in a slash."""
    whole = f"{{ path -m beg {CLUSTERS_PATH} }} !{{ path,field(4,/,0) -m found }} !{{ path -m end / }}"
    return [f"http-request redirect location %[path]/ code 307 if {whole} {_FROM_BROWSERS}"]


def _service(listener: Listener) -> list[str]:
    """Everything goes to one service. The API server writes that path before links in pages, so what has it keeps it."""
    path = quote(f"{listener.service}/")
    # The API server does not resolve these, but what stands before it might, and lead elsewhere.
    within, at_the_end = DOT_SEGMENTS
    dots = f"{{ {within} }} or {{ {at_the_end} }} or !{{ path,url_dec -m found }}"
    return [
        deny(400, "this path has segments of dots, which may lead out of the service", f"if {dots}"),
        f"http-request set-path {listener.service}%[path] unless {{ path -m beg {path} }}",
        "http-request set-var(txn.path) path",
    ]


def _static(prefix: str, api: str) -> str:
    """Of two prefixes that a path begins with, the longer one counts."""
    longer = api.startswith(prefix) and len(api) > len(prefix)
    but = f" !{{ path -m beg {quote(api)} }} !{{ path -m str {quote(api.removesuffix('/'))} }}" if longer else ""
    return f"http-request set-var(txn.own) str(static) if {{ path -m beg {quote(prefix)} }} !{{ var(txn.own) -m found }}{but}"


def contexts(plan: ProxyPlan) -> dict[str, str]:
    """The lookup file of contexts: a name's bytes in upper-case hex, for it may hold what no map can."""
    names = {name: target.key for target in plan.targets for name in target.aliases}
    return {name.encode().hex().upper(): key for name, key in (names | {one.name: one.key for one in plan.targets}).items()}


def _prefix(plan: ProxyPlan) -> list[str]:
    whole, bare = quote(plan.prefix), quote(plan.prefix.removesuffix("/"))
    spared = " !{ var(txn.own) -m found }"
    found = [
        deny(
            404,
            "this path is not below the prefix of this proxy (--api-prefix)",
            f"if !{{ path -m beg {whole} }} !{{ path -m str {bare} }}{spared}",
        )
    ]
    if plan.strips:
        at = len(plan.prefix.encode())
        found.append(f"http-request set-path /%[path,bytes({at})] if{spared}")
    return found


def _context(listener: Listener) -> list[str]:
    named = f"{{ path -m beg {CLUSTERS_PATH} }}"
    return [
        f"http-request set-var(txn.target) path,field(3,/),url_dec,hex,map_str({CONTEXTS_FILE}) if {named}",
        deny(
            404,
            "no context of this name is served here; /clusters/NAME/ takes a name as the kubeconfig has it, percent-encoded",
            f"if {named} !{{ var(txn.target) -m found }}",
        ),
        f"http-request set-path /%[path,field(4,/,0)] if {named}",
        f"http-request set-var(txn.target) str({listener.target}) unless {{ var(txn.target) -m found }}",
    ]


def _server_path(target: Target, *, several: bool) -> list[str]:
    """A request that already begins with the server's path: it is put before it again, after the filters."""
    its = f" {{ var(txn.target) -m str {target.key} }}" if several else ""
    at = len(target.path.encode()) + 1
    return [
        f"http-request set-path /%[path,bytes({at})] if {{ path -m beg {quote(f'{target.path}/')} }}{its}",
        f"http-request set-path / if {{ path -m str {quote(target.path)} }}{its}",
    ]


def _shown_path(target: Target, *, several: bool) -> list[str]:
    """Where it is not put before requests, clients write it, and the filters still see what comes after it."""
    its = f" {{ var(txn.target) -m str {target.key} }}" if several else ""
    at = len(target.path.encode()) + 1
    begins = quote(f"{target.path}/")
    as_such = f"{{ path -m beg {begins} }}"
    others = [f"{{ path,url_dec {one} }} !{as_such}" for one in (f"-m beg {begins}", "-m sub //")]
    others += [f"{{ {one} }}" for one in DOT_SEGMENTS]
    message = "this path is, or could be, the server's path written in another way, which the filters would not see"
    return [
        # One rule for each, for a line of the file may have 64 words.
        *(deny(400, message, f"if {one}{its}") for one in others),
        f"http-request set-var-fmt(txn.path) /%[path,bytes({at})] if {{ path -m beg {begins} }}{its}",
    ]


def _led(listener: Listener, plan: ProxyPlan) -> list[str]:
    plain = "%[var(txn.target)]" if listener.several else listener.target
    stream = stream_name(plain)
    found: list[str] = []
    if not listener.service and (plan.static is not None or plan.page or listener.token):
        found.append("use_backend %[var(txn.own)] if { var(txn.own) -m found }")
    found.append(f"use_backend {plain} if {guards.ORDINARY}")
    found += [f"use_backend {stream} if {condition}" for condition in streams.conditions()]
    found.append(f"use_backend {plain}" if listener.several else f"default_backend {plain}")
    return found
