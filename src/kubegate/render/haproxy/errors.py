"""Errors of the gate as Kubernetes `Status` objects (API conventions, "Response Status Kind"): kubectl prints `message`."""

import json
from collections.abc import Mapping

from kubegate.render.haproxy.text import quote

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    421: "MisdirectedRequest",
    429: "TooManyRequests",
    431: "RequestHeaderFieldsTooLarge",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}

# What HAProxy itself decides, without a rule of ours that would say more.
_OWN_WORDS = {
    400: "the gate refused this request because it is not valid HTTP",
    403: "the gate refused this request",
    404: "the gate knows nothing by this name",
    405: "this method is refused here",
    408: "the gate waited for the rest of the request, in vain",
    413: "the request body is larger than the gate allows",
    421: "this host name does not belong to a cluster behind this gate; check the server and tls-server-name of your kubeconfig",
    429: "too many requests from this address; wait a moment and try again",
    500: "the gate failed on this request; its log says why",
    502: "the API server closed the connection instead of answering, or its answer is not valid; whether it acted is not known",
    503: "no API server of this cluster can be reached, or none proved its identity; the gate itself is up and keeps trying",
    504: "the API server took the request but did not answer in time; whether it acted is not known",
}


def status_json(code: int, message: str) -> str:
    """The body: a `Status` of kind Failure, in one line."""
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"kubegate: {message}",
            "reason": _REASONS[code],
            "code": code,
        },
        separators=(",", ":"),
    )


def body(code: int, message: str) -> str:
    """The arguments of an action or `http-error` line that make the answer JSON."""
    return f"content-type application/json string {quote(status_json(code, message))}"


def http_error_lines(words: Mapping[int, str] | None = None) -> list[str]:
    """`http-error` lines for all that HAProxy may answer by itself once a request is parsed; `words` replace the gate's."""
    return [f"http-error status {code} {body(code, message)}" for code, message in {**_OWN_WORDS, **(words or {})}.items()]


def deny(code: int, message: str, condition: str) -> str:
    """A rule that ends the request with this status if `condition` (`if ...` or `unless ...`) holds.

    With HTTP/1 it ends the connection too: what follows a request that is not as it should be may not be one. Who only has to
    wait keeps the connection, for another one would cost more, and is told how long (kubectl then asks again by itself).
    """
    # 431 is not among the codes that `deny` may give (configuration manual 4.4, http-request deny).
    action = f"return status {code}" if code == 431 else f"deny deny_status {code}"
    header = "Retry-After 1" if code == 429 else "Connection close"
    return f"http-request {action} {body(code, message)} hdr {header} {condition}"
