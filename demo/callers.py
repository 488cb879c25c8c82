"""Who calls the stand-in and what they may do: its administrator, one service account, anonymous callers."""

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NAMESPACE, ACCOUNT = "demo", "visitor"
ADMINISTRATOR = "stand-in-admin"
ANONYMOUS = "system:anonymous"
VISITOR = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"

_PUBLIC = ("/version", "/readyz", "/livez", "/healthz")
_DISCOVERY = ("/api", "/apis", "/api/v1", "/openapi/v2", "/openapi/v3")
_RESOURCE = re.compile(
    r"/api/v1(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?/?"
)
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def _now() -> datetime:
    return datetime.now(UTC)


class Callers:
    """Tokens, and to whom they belong."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self.admin_token = _token()
        self.granted: dict[str, datetime] = {}
        self._now = now

    def grant(self, seconds: int) -> tuple[str, datetime]:
        """A new token of the service account, and when it ends."""
        token, expires = _token(), self._now() + timedelta(seconds=seconds)
        self.granted[token] = expires
        return token, expires

    def name(self, authorization: str | None) -> str | None:
        """Who sends this header (None: no header); None if the token is wrong or has ended."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return ANONYMOUS
        if secrets.compare_digest(token.strip().encode(), self.admin_token.encode()):
            return ADMINISTRATOR
        expires = self.granted.get(token.strip())
        return VISITOR if expires is not None and self._now() < expires else None


def refusal(user: str, method: str, path: str, *, watch: bool) -> str | None:
    """Why a user may not do this, in Kubernetes' own words; None if they may."""
    if user == ADMINISTRATOR or path in _PUBLIC:
        return None
    verb = _VERBS.get(method, method.lower())
    match = _RESOURCE.fullmatch(path)
    if match is None:
        allowed = user == VISITOR and verb == "get" and path in _DISCOVERY
        return None if allowed else f'forbidden: User "{user}" cannot {verb} path "{path}"'
    if verb == "get" and not match["name"]:
        verb = "watch" if watch else "list"
    if user == VISITOR and match["resource"] == "namespaces" and verb in ("get", "list", "watch"):
        return None
    what = "/".join(part for part in (match["resource"], match["sub"]) if part)
    which = f'{match["resource"]} "{match["name"]}"' if match["name"] else match["resource"]
    place = f'in the namespace "{match["namespace"]}"' if match["namespace"] else "at the cluster scope"
    return f'{which} is forbidden: User "{user}" cannot {verb} resource "{what}" in API group "" {place}'


def _token() -> str:
    return f"standin-{secrets.token_hex(16)}"
