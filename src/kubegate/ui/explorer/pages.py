"""The explorer's routes: its page, its files, what it is told about the proxy, and services opened on origins of their own."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from kubegate.errors import KubegateError
from kubegate.model.service_ref import ServiceRef, read_service

_FILES = Path(__file__).parent
_MOST_BYTES = 4096
# Swagger UI sets styles of its own, and has its icons in them.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Explored:
    """What a page shows of the proxy: the context that it is about, its server, the paths of all, and sentences to know."""

    context: str
    server: str
    contexts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def routes(about: Callable[[str], Explored], open_service: Callable[[str, ServiceRef], Awaitable[str]]) -> list[BaseRoute]:
    """The routes. `about` gives what is shown for the key of a context; `open_service` opens a service of it, and gives its URL.

    `open_service` may raise KubegateError, of which the page shows the message.
    """

    async def page(_: Request) -> Response:
        return FileResponse(_FILES / "index.html", headers=_HEADERS)

    async def info(request: Request) -> Response:
        shown = about(_key(request))
        facts = {
            "context": shown.context,
            "server": shown.server,
            "contexts": [{"name": name, "path": path} for name, path in shown.contexts],
            "notes": list(shown.notes),
        }
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    async def opened(request: Request) -> Response:
        try:
            service = read_service(await _document(request))
            return JSONResponse({"url": await open_service(_key(request), service)})
        except ValueError as error:
            return _status(400, "BadRequest", str(error))
        except KubegateError as error:
            return _status(503, "ServiceUnavailable", error.message)

    return [
        Route("/", page),
        Route("/.kubegate/info", info),
        Route("/.kubegate/open", opened, methods=["POST"]),
        Mount("/.kubegate/assets", _Assets(directory=_FILES)),
    ]


class _Assets(StaticFiles):
    """The files of the page, and nothing of the program beside them."""

    def file_response(self, full_path: Any, *arguments: Any, **more: Any) -> Response:
        response = super().file_response(full_path, *arguments, **more)
        response.headers.update(_HEADERS)
        return response

    async def get_response(self, path: str, scope: Any) -> Response:
        if not path.endswith((".js", ".css", "LICENSE", "NOTICE", ".txt")):
            return Response(status_code=404)
        return await super().get_response(path, scope)


def _key(request: Request) -> str:
    """Which context the request is about, as HAProxy says."""
    return request.headers.get("x-kubegate-context", "")


async def _document(request: Request) -> Mapping[str, object]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise ValueError("the request is too long")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("the request is no JSON object")
    return found


def _status(code: int, reason: str, message: str) -> Response:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code}
    return JSONResponse({**status, "message": f"kubegate: {message}"}, code)
