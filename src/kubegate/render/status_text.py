"""Errors of the gate as Kubernetes `Status` objects (API conventions, "Response Status Kind"): kubectl prints `message`."""

import json

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

# What an engine itself decides, without a rule of ours that would say more.
OWN_WORDS = {
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
NAME_HINT = "set server or tls-server-name in your kubeconfig to the name of a cluster"
NO_NAME_GIVEN = f"this connection names no cluster: it has no SNI, and its Host is none of a cluster here; {NAME_HINT}"
UNKNOWN_NAME = f"no cluster behind this gate has this name; {NAME_HINT}"
NOT_OPENED_HERE = (
    "the cluster of this name is not opened here: its TLS is passed through, to those who ask for it in TLS, or it is "
    f"behind another listener; {NAME_HINT}"
)
ANOTHER_CLUSTER = "the Host names another cluster than the TLS connection (SNI); open a connection to that name"
TOO_MUCH_CARRIED = "this cluster carries as many requests and streams at one time as it may; try again in a moment"
NOT_ALLOWED = "your address is not among those that may reach this cluster"


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
