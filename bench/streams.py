"""An API server that only streams: watches that wait or tick, and a WebSocket that echoes. Run by uvicorn (`bench.upstream`)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

TICK_SECONDS = 0.02


async def version(_: Request) -> Response:
    return JSONResponse({"major": "1", "minor": "37", "gitVersion": "v1.37.2"})


async def ready(_: Request) -> Response:
    return Response("ok")


async def watch(request: Request) -> Response:
    """One event and then silence, or with `tick` an event every so often, which says when it was sent (monotonic, in ns)."""
    return StreamingResponse(_ticks() if "tick" in request.query_params else _silence(), media_type="application/json")


async def echo(socket: WebSocket) -> None:
    """What comes is sent back."""
    await socket.accept(subprotocol=socket.scope["subprotocols"][0])
    async for message in socket.iter_bytes():
        await socket.send_bytes(message)


async def _silence() -> AsyncIterator[bytes]:
    yield _event()
    await asyncio.Event().wait()


async def _ticks() -> AsyncIterator[bytes]:
    while True:
        yield _event()
        await asyncio.sleep(TICK_SECONDS)


def _event() -> bytes:
    event = {
        "type": "MODIFIED",
        "object": {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"sent": time.monotonic_ns()}},
    }
    return json.dumps(event).encode() + b"\n"


app = Starlette(
    routes=[
        Route("/version", version),
        Route("/readyz", ready),
        Route("/api/v1/namespaces/default/configmaps", watch),
        WebSocketRoute("/api/v1/namespaces/default/pods/web-0/exec", echo),
    ]
)
