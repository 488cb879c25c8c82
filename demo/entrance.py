"""The entrance of the stand-in: who calls, whether they may, and every refusal in the form that Kubernetes gives it."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo import objects
from demo.callers import Callers, refusal

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    410: "Expired",
    422: "Invalid",
}
# Starlette's own words for an unknown path or method are not Kubernetes'.
_WORDS = {
    "Not Found": "the server could not find the requested resource",
    "Method Not Allowed": "the server does not allow this method on the requested resource",
}


def refused(code: int, message: str) -> Response:
    """A refusal: a Status with its code."""
    return JSONResponse(objects.status(code, _REASONS.get(code, "Unknown"), message), code)


async def on_refusal(_request: Request, error: Exception) -> Response:
    """What a raised HTTPException becomes."""
    assert isinstance(error, HTTPException)
    return refused(error.status_code, _WORDS.get(error.detail, error.detail))


def asks_for_watch(request: Request) -> bool:
    """Whether the caller wants a stream of changes."""
    return request.query_params.get("watch", "").lower() in ("1", "true", "t")


class Entrance:
    """Middleware that lets a request in, or answers it."""

    def __init__(self, app: ASGIApp, who: Callers) -> None:
        self._app = app
        self._who = who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        app = self._app
        if scope["type"] == "http":
            app = self._answer(Request(scope)) or app
        await app(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        user = self._who.name(request.headers.get("authorization"))
        if user is None:
            return refused(401, "Unauthorized")
        why = refusal(user, request.method, request.url.path, watch=asks_for_watch(request))
        return refused(403, why) if why else None
