"""The `global` and `defaults` sections of the local proxy."""

from kubegate.model.plan import Process
from kubegate.render.haproxy import errors, global_
from kubegate.render.haproxy.global_ import STREAM_TIMEOUT
from kubegate.render.haproxy.local import filters
from kubegate.render.haproxy.local.lua import UNAUTHORIZED_FILE

_WORDS = {
    400: "this request is not valid HTTP",
    403: "this request is refused",
    404: "there is nothing by this name here",
    408: "the rest of the request did not come",
    413: "the request body is too large",
    421: "this host name is not served here",
    429: "too many requests; wait a moment and try again",
    500: "the proxy failed on this request",
    502: "the API server closed the connection instead of answering, or its answer is not valid; whether it acted is not known",
    503: "the API server of this context cannot be reached, or it did not prove what it is; the proxy keeps trying",
    504: "the API server took the request but did not answer in time; whether it acted is not known",
}


_PROBES = ("srvtcpka-intvl 10s", "srvtcpka-cnt 3")


def global_lines(process: Process, admin_socket: str) -> list[str]:
    """The `global` section."""
    return [
        *global_.lines(process, admin_socket),
        *filters.global_lines(),
        f"lua-load-per-thread {UNAUTHORIZED_FILE}",
    ]


def lines(keepalive: float) -> list[str]:
    """Defaults of every section: a client that is silent is never cut off, for it may be a person's script.

    `keepalive` is that of the plan.
    """
    return [
        "mode http",
        "timeout connect 10s",
        # A request whose head does not come is no request; an open connection without one may wait.
        "timeout http-request 60s",
        f"timeout http-keep-alive {STREAM_TIMEOUT}",
        "timeout queue 10s",
        f"timeout client {STREAM_TIMEOUT}",
        f"timeout tunnel {STREAM_TIMEOUT}",
        "timeout server 5m",
        "option clitcpka",
        "clitcpka-idle 30s",
        "clitcpka-intvl 10s",
        "clitcpka-cnt 3",
        *(["option srvtcpka", f"srvtcpka-idle {max(1, round(keepalive or 30))}s", *_PROBES] if keepalive >= 0 else []),
        *errors.http_error_lines(_WORDS),
    ]
