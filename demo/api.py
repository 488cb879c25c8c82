"""The stand-in as an HTTP application: as much of the Kubernetes API as three commands and one token need."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo import callers, objects
from demo.callers import Callers
from demo.entrance import Entrance, asks_for_watch, on_refusal
from demo.namespaces import Namespaces
from demo.watching import watch

_SHORTEST_TOKEN_SECONDS = 600
_DEFAULT_TOKEN_SECONDS = 3600
_DOCUMENTS = {
    "/version": objects.VERSION,
    "/api": objects.API_VERSIONS,
    "/apis": objects.API_GROUPS,
    "/api/v1": objects.API_RESOURCES,
}
Endpoint = Callable[[Request], Awaitable[Response]]


def application(who: Callers, state: Namespaces) -> Starlette:
    """The application. `state` lives in the event loop that runs it."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        life = asyncio.create_task(state.live(), name="namespaces come and go")
        yield
        life.cancel()

    return Starlette(
        routes=[
            *(Route(path, _healthy) for path in ("/readyz", "/livez", "/healthz")),
            *(Route(path, _always(document)) for path, document in _DOCUMENTS.items()),
            Route("/api/v1/namespaces", _namespaces(state)),
            Route("/api/v1/namespaces/{name}", _namespace(state)),
            Route("/api/v1/namespaces/{of}/serviceaccounts/{name}/token", _token(who), methods=["POST"]),
        ],
        lifespan=lifespan,
        middleware=[Middleware(Entrance, who=who)],
        exception_handlers={HTTPException: on_refusal},
    )


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok")


def _always(document: objects.Document) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return JSONResponse(document)

    return answer


def _namespaces(state: Namespaces) -> Endpoint:
    async def answer(request: Request) -> Response:
        if any(request.query_params.get(selector) for selector in ("labelSelector", "fieldSelector")):
            raise HTTPException(400, "the stand-in knows no selectors")
        if asks_for_watch(request):
            return watch(request, state, _table_row if _wants_table(request) else objects.Namespace.document)
        if _wants_table(request):
            return JSONResponse(objects.table(state.all(), state.version, datetime.now(UTC)))
        return JSONResponse(objects.namespace_list(state.all(), state.version))

    return answer


def _namespace(state: Namespaces) -> Endpoint:
    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        found = state.get(name)
        if found is None:
            raise HTTPException(404, f'namespaces "{name}" not found')
        return JSONResponse(_table_row(found) if _wants_table(request) else found.document())

    return answer


def _token(who: Callers) -> Endpoint:
    async def answer(request: Request) -> Response:
        of, name = request.path_params["of"], request.path_params["name"]
        if (of, name) != (callers.NAMESPACE, callers.ACCOUNT):
            raise HTTPException(404, f'serviceaccounts "{name}" not found')
        seconds = _seconds(await request.body())
        token, expires = who.grant(seconds)
        return JSONResponse(objects.token_request(of, name, token, expires, seconds), 201)

    return answer


def _seconds(body: bytes) -> int:
    try:
        seconds = json.loads(body).get("spec", {}).get("expirationSeconds", _DEFAULT_TOKEN_SECONDS)
    except (ValueError, AttributeError):
        raise HTTPException(400, "the body is not a TokenRequest") from None
    if not isinstance(seconds, int) or not _SHORTEST_TOKEN_SECONDS <= seconds <= 1 << 32:
        raise HTTPException(422, "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes")
    return seconds


def _wants_table(request: Request) -> bool:
    return "as=Table;v=v1;" in request.headers.get("accept", "").replace(" ", "")


def _table_row(namespace: objects.Namespace) -> objects.Document:
    return objects.table([namespace], namespace.version, datetime.now(UTC))
