"""Answers of Envoy's own, as Kubernetes `Status` objects: kubectl prints their message."""

from typing import Any

from kubegate.render.status_text import NOT_ALLOWED, OWN_WORDS, TOO_MUCH_CARRIED, status_json

_AS_JSON = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
_HEADERS_TOO_LARGE = "the request headers are too large; a token with very many groups is the usual cause"
_WORDS = {
    **{code: OWN_WORDS[code] for code in (400, 404, 408, 413, 429, 500, 502, 503, 504)},
    # Envoy answers both with the same status.
    403: f"{NOT_ALLOWED}, or it asks for an upgrade other than websocket and SPDY/3.1",
    431: _HEADERS_TOO_LARGE,
}


def local_reply_config() -> dict[str, Any]:
    """What Envoy answers without an API server; the first mapper that fits counts. Answers of API servers are not touched."""
    overflow = {"response_flag_filter": {"flags": ["UO"]}}
    retry_after = [{"header": {"key": "retry-after", "value": "1"}}]
    return {
        "mappers": [
            {"filter": overflow, "status_code": 429, "headers_to_add": retry_after, **_body(429, TOO_MUCH_CARRIED)},
            *({"filter": _status(code), **_body(code, words)} for code, words in sorted(_WORDS.items())),
            {"filter": _status(421), "body_format_override": _AS_JSON},
        ]
    }


def misdirected(message: str) -> dict[str, Any]:
    """The action of a route that leads to no cluster (RFC 9110, section 15.5.20)."""
    return {"direct_response": {"status": 421, "body": {"inline_string": status_json(421, message)}}}


def _body(code: int, message: str) -> dict[str, Any]:
    return {"body": {"inline_string": status_json(code, message)}, "body_format_override": _AS_JSON}


def _status(code: int) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": f"kubegate.status.{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
