"""What the proxy itself serves, on a unix socket behind HAProxy: static files, and the page that the one-time URL leads to."""

import contextlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from kubegate.model.proxy_plan import LOGIN_PATH
from kubegate.proxy.static_files import Files
from kubegate.system import http_service

# The cookie is not sent with what a page of another site leads to, so the way from here on begins here.
_WELCOME = """<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>kubegate proxy</title>
<p>This browser may use the proxy now: <a href="/">go on</a>.
"""


@dataclass(slots=True)
class Login:
    """How a browser gets the proxy's token: by a key that works once. `secure`: over TLS only."""

    token: str
    key: str
    secure: bool

    def take(self, key: str) -> bool:
        """Whether this is the key; then it is used up."""
        fits = bool(self.key) and hmac.compare_digest(key.encode(), self.key.encode())
        if fits:
            self.key = ""
        return fits


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket, login: Login | None, folder: Path | None, prefix: str, pages: Sequence[BaseRoute] = ()
) -> AsyncIterator[None]:
    """Answer on a socket that listens, inside the block; files of `folder` below `prefix`, and `pages`."""
    async with http_service.serving(_application(login, folder, prefix, pages), listener, "site"):
        yield


def _application(login: Login | None, folder: Path | None, prefix: str, pages: Sequence[BaseRoute]) -> Starlette:
    routes: list[BaseRoute] = []
    if login is not None:
        known = login

        async def log_in(request: Request) -> Response:
            return _logged_in(request, known)

        routes.append(Route(LOGIN_PATH, log_in))
    if folder is not None:
        routes.append(Mount(prefix.rstrip("/"), Files(folder)))
    application = Starlette(routes=[*routes, *pages])
    application.router.redirect_slashes = False
    return application


def _logged_in(request: Request, login: Login) -> Response:
    # A look that is no visit, as of a program that shows what is behind a link, must not use it up.
    if request.method != "GET" or not login.take(request.query_params.get("key", "")):
        message = "kubegate: this URL works once, and was used already or is another one; restart the proxy for a new one"
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403}
        return Response(json.dumps({**status, "message": message}), 403, media_type="application/json")
    answer = HTMLResponse(_WELCOME, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    # Which listener it came by, HAProxy says.
    cookie = request.headers["x-kubegate-cookie"]
    answer.set_cookie(cookie, login.token, path="/", secure=login.secure, httponly=True, samesite="strict")
    return answer
