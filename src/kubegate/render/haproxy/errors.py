"""Errors of the gate as HAProxy answers with them: rules and `http-error` lines whose bodies are Kubernetes `Status` objects."""

from collections.abc import Mapping

from kubegate.render.haproxy.text import quote
from kubegate.render.status_text import OWN_WORDS, status_json


def body(code: int, message: str) -> str:
    """The arguments of an action or `http-error` line that make the answer JSON."""
    return f"content-type application/json string {quote(status_json(code, message))}"


def http_error_lines(words: Mapping[int, str] | None = None) -> list[str]:
    """`http-error` lines for all that HAProxy may answer by itself once a request is parsed; `words` replace the gate's."""
    return [f"http-error status {code} {body(code, message)}" for code, message in {**OWN_WORDS, **(words or {})}.items()]


def deny(code: int, message: str, condition: str) -> str:
    """A rule that ends the request with this status if `condition` (`if ...` or `unless ...`) holds.

    With HTTP/1 it ends the connection too: what follows a request that is not as it should be may not be one. Who only has to
    wait keeps the connection, for another one would cost more, and is told how long (kubectl then asks again by itself).
    """
    # 431 is not among the codes that `deny` may give (configuration manual 4.4, http-request deny).
    action = f"return status {code}" if code == 431 else f"deny deny_status {code}"
    header = "Retry-After 1" if code == 429 else "Connection close"
    return f"http-request {action} {body(code, message)} hdr {header} {condition}"
