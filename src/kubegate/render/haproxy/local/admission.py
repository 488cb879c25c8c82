"""Who may ask the local proxy: rules on where a request comes from and what it brings, whatever the filters say.

A page of another origin must not use the rights of the person who runs the proxy. Browsers say whose page it is (`Origin`, RFC
6454; `Sec-Fetch-*`, W3C Fetch Metadata); other programs say nothing, and pass. The rights of who asks are never more than what it
asks with: an `Authorization` or `Impersonate-*` of its own is refused, not dropped.
"""

from kubegate.model.proxy_plan import LOGIN_PATH, Admission, Listener, ProxyPlan, takes_any_name
from kubegate.render.haproxy import guards
from kubegate.render.haproxy.errors import body, deny
from kubegate.render.haproxy.text import quote

# Parts of header names of which the rules below take notice.
_NOTICED = "origin sec- authorization impersonate cookie keep-alive proxy-"
_IMPERSONATES = "{ req.hdr_names(:) -m beg impersonate- } or { req.hdr_names(:) -m sub :impersonate- }"
# A token may travel as the name of a subprotocol (apiserver, authentication/request/websocket).
_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."  # noqa: S105 - a prefix that the API server knows


# HAProxy sees to that in HTTP/1, and lets any byte pass in HTTP/2. The pattern is linear.
_IN_ASCII = "{ pathq -m reg ^/[!-~]*$ }"
_COOKIE = "kubegate-"
# More proxies than a person runs at once; where there are more, the whole header goes.
_COOKIES = 4


def cookie_name(listener: Listener) -> str:
    """The cookie that holds the proxy's token: cookies know no ports, so its name does."""
    return f"{_COOKIE}{listener.cookie_port or listener.port}"


def token_rules(listener: Listener, admission: Admission) -> list[str]:
    """Rules that let nobody pass who does not show the proxy's token, and take it out of what goes on."""
    if not listener.token:
        return []
    cookie = cookie_name(listener)
    message = "this proxy wants its token: as a bearer token, or by the one-time URL that it printed when it started"
    return [
        *([] if listener.service else [f"http-request set-var(txn.own) str(own) if {{ path -m str {LOGIN_PATH} }}"]),
        "http-request del-header x-kubegate-cookie",
        f"http-request set-header X-Kubegate-Cookie {cookie} if {{ var(txn.own) -m found }}",
        deny(400, "the request has more than one Authorization header", "if { req.fhdr_cnt(authorization) gt 1 }"),
        "http-request set-var(txn.bearer) http_auth_bearer,sha2(256),hex",
        f"http-request set-var(txn.cookie) req.cook({cookie}),sha2(256),hex",
        f"http-request return status 401 {body(401, message)} hdr WWW-Authenticate 'Bearer realm=\"kubegate proxy\"'"
        f" unless {{ var(txn.bearer) -m str {admission.token_digest} }} or {{ var(txn.cookie) -m str {admission.token_digest} }}"
        " or { var(txn.own) -m found }",
        f"http-request del-header authorization if {{ var(txn.bearer) -m str {admission.token_digest} }}",
    ]


def rules(listener: Listener, plan: ProxyPlan) -> list[str]:
    """Rules that a read is spared which is like the one before it on its connection, then those that all others meet."""
    led = _led_here(listener, plan)
    plainly = f" {_IN_ASCII}" if listener.pem else " { url -m beg / }"
    return [
        *guards.shortcut(unless=plainly),
        *_browsers(listener, plan.admission),
        *led,
        *_own_rights(plan.admission),
        *guards.refusals(),
        deny(
            400,
            "the target of this request is no path in ASCII",
            f"unless {_IN_ASCII if listener.pem else '{ path -m beg / }'}",
        ),
        *_hop_by_hop(),
        *_cookies(),
        *guards.removals(chain=True),
        *([] if listener.pem else ["http-request set-uri %[pathq] unless { url -m beg / }"]),
        "http-request set-header User-Agent kubegate unless { req.fhdr(user-agent) -m found }",
        *guards.approval(
            f"{_NOTICED} accept-language" if led else _NOTICED,
            " { req.hdr_names(:) -m sub user-agent } !{ req.fhdr(te) -m found }",
        ),
    ]


def _browsers(listener: Listener, admission: Admission) -> list[str]:
    origins = " ".join(quote(one) for one in (*listener.origins, *admission.origins))
    own = f"{{ req.fhdr(origin),lower -m str {origins} }}" if origins else "{ always_false }"
    return [
        deny(
            403,
            "a page of another origin may not use this proxy; --allow-origin=ORIGIN allows one",
            f"if {{ req.fhdr(origin) -m found }} !{own} or {{ req.fhdr_cnt(origin) gt 1 }}",
        ),
        "http-request set-var(txn.page) bool(true) if { method GET } !{ req.fhdr(origin) -m found }"
        " !{ req.fhdr(upgrade) -m found } { req.fhdr(sec-fetch-mode) -m str navigate }"
        " { req.fhdr(sec-fetch-dest) -m str document }",
        deny(
            403,
            "a page of another site may not use this proxy, but for a link to it; --allow-origin=ORIGIN allows an origin",
            "if { req.fhdr(sec-fetch-site) -m found } !{ req.fhdr(sec-fetch-site) -m str same-origin none }"
            " !{ var(txn.page) -m found } !{ req.fhdr(origin) -m found }",
        ),
    ]


def _led_here(listener: Listener, plan: ProxyPlan) -> list[str]:
    """A page whose own name was made to lead here (DNS rebinding) reads without an Origin, as one of the name's own origin.

    Without TLS browsers do not say `Sec-Fetch-Site` to such a name, but all of them say a language. Where only certain names are
    accepted the filters see to it, and nobody else's name can be an address.
    """
    if not listener.hosts or not takes_any_name(plan.filters):
        return []
    hosts = " ".join(quote(host) for host in listener.hosts)
    places = [origin.partition("://")[2] for origin in plan.admission.origins]
    allowed = f" !{{ req.fhdr(host),lower -m str {' '.join(quote(one) for one in places)} }}" if places else ""
    return [
        deny(
            403,
            "a browser was led here by a name that is none of this proxy's; --allow-origin=ORIGIN allows one",
            f"if {{ req.fhdr(accept-language) -m found }} !{{ req.fhdr(host),host_only,lower -m str {hosts} }}"
            f" !{{ req.fhdr(host),host_only -m ip 0.0.0.0/0 }} !{{ req.fhdr(host) -m beg [ }}{allowed}",
        )
    ]


def _own_rights(admission: Admission) -> list[str]:
    found = []
    if not admission.authorization:
        message = (
            "the proxy adds the credential of its context, and this request brings another; --pass-authorization lets it pass"
        )
        found.append(
            deny(
                403,
                message,
                f"if {{ req.fhdr(authorization) -m found }} or {{ req.fhdr(sec-websocket-protocol) -m sub {_TOKEN_PROTOCOL} }}",
            )
        )
    if not admission.impersonation:
        message = "this request asks to impersonate somebody, by rights of the proxy's user; --pass-impersonation lets it pass"
        found.append(deny(403, message, f"if {_IMPERSONATES}"))
    return found


def _cookies() -> list[str]:
    """Takes the tokens of proxies out of what goes on, also those of others: browsers send each to all ports of the host."""
    # The name is ours, and the patterns are linear.
    one = rf"{_COOKIE}[0-9]+\s*="
    found = f"{{ req.fhdr(cookie) -m sub {_COOKIE} }} {{ req.fhdr(cookie) -m reg {quote(one)} }}"
    taken = quote(rf"^(|.*[;,]\s*){one}[^;,]*(?:[;,]\s*|$)(.*)$")
    return [
        *[f"http-request replace-header cookie {taken} '\\1\\2' if {found}"] * _COOKIES,
        f"http-request del-header cookie if {found} or {{ req.fhdr(cookie) -m len 0 }}",
    ]


def _hop_by_hop() -> list[str]:
    """What concerns this connection only (RFC 9110, section 7.6.1); further headers that Connection names go on."""
    return [
        "http-request del-header keep-alive",
        "http-request del-header proxy-connection",
        "http-request del-header proxy-authorization",
        "http-request del-header te unless { req.fhdr(te) -m str -i trailers }",
    ]
