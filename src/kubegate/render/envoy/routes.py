"""The virtual hosts of a listener: which Host is led where, and which requests are streams or may be repeated."""

from collections.abc import Iterable
from typing import Any

from kubegate.model.address import Endpoint, is_address
from kubegate.model.plan import Backend
from kubegate.render.envoy.replies import misdirected
from kubegate.render.envoy.values import allowed, seconds, typed

# The name that a client asked for in TLS, as a header that is set before any route is looked at, and taken away afterwards.
SNI_HEADER = "x-kubegate-sni"
RBAC = "envoy.filters.http.rbac"
_PATH = ":path"
# Expressions are RE2 and must fit the whole of path and query. A boolean parameter counts as true whatever its value is, and a
# parameter whose name is hidden behind percent signs counts too: the request then only has no short timeout, and is not repeated.
# One route for each, for Envoy takes no large expressions.
_STREAMS = (
    r"[^?]*\?(.*&)?(watch|follow)([=&].*)?",
    r"[^?]*\?(.*&)?[^=&]*%[^=&]*([=&].*)?",
    r"/api/v1/watch/.*|/apis/[^/?]+/[^/?]+/watch/.*",
    r"[^?]*/proxy([/?].*)?",
)
# GETs that may run something in a pod; a percent sign may hide them.
_NOT_REPEATABLE = r"[^?]*(/exec|/attach|/portforward|%).*"
_CONNECTING = {"retry_on": "connect-failure", "num_retries": 2}
_READING = {
    "retry_on": "connect-failure,reset",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": typed("retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        }
    ],
    "host_selection_retry_max_attempts": 3,
}


def domains(hosts: Iterable[str]) -> list[str]:
    """Hosts as a virtual host matches them: without case and port, names with and without a dot at their end."""
    found = []
    for host in hosts:
        found += [Endpoint(host, 0).url_host] if is_address(host) else [host, f"{host}."]
    return found


def to_cluster(name: str, on: list[str], backend: Backend, *, unless_named: str = "") -> dict[str, Any]:
    """A virtual host that leads to a cluster; `unless_named` refuses those that asked for a name in TLS, with this message."""
    routes = [_named(unless_named)] if unless_named else []
    found: dict[str, Any] = {"name": name, "domains": on, "routes": [*routes, *_routes(backend)]}
    if backend.allow is not None:
        per_route = typed("filters.http.rbac.v3.RBACPerRoute", rbac={"rules": allowed(backend.allow)})
        found["typed_per_filter_config"] = {RBAC: per_route}
    return found


def to_nobody(name: str, on: list[str], message: str, *, unless_named: str = "") -> dict[str, Any]:
    """A virtual host that answers 421; `unless_named` is the message to those that asked for a name in TLS."""
    routes = [_named(unless_named)] if unless_named else []
    return {"name": name, "domains": on, "routes": [*routes, {"match": {"prefix": "/"}, **misdirected(message)}]}


def _named(message: str) -> dict[str, Any]:
    # Without a name the header is a dash.
    header = {"name": SNI_HEADER, "string_match": {"exact": "-"}, "invert_match": True}
    return {"match": {"prefix": "/", "headers": [header]}, **misdirected(message)}


def _routes(backend: Backend) -> list[dict[str, Any]]:
    timeouts = backend.timeouts
    reads = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return [
        _route(backend, timeouts.stream, _CONNECTING, {"name": "upgrade", "present_match": True}),
        *(_route(backend, timeouts.stream, _CONNECTING, _path(expression)) for expression in _STREAMS),
        _route(backend, timeouts.request, _CONNECTING, _path(_NOT_REPEATABLE)),
        _route(backend, timeouts.request, _READING, reads),
        _route(backend, timeouts.request, _CONNECTING),
    ]


def _route(backend: Backend, silence: int, retry: dict[str, Any], *headers: dict[str, Any]) -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/", **({"headers": list(headers)} if headers else {})}
    # No bound on the whole of an answer, only on silence: a long list may take its time.
    action = {"cluster": backend.name, "timeout": "0s", "idle_timeout": seconds(silence), "retry_policy": retry}
    return {"match": match, "route": action}


def _path(expression: str) -> dict[str, Any]:
    return {"name": _PATH, "string_match": {"safe_regex": {"regex": expression}}}
