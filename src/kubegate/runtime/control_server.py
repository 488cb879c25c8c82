"""What a running gate answers on its own unix socket (mode 0600): its status, its metrics, and the request to reload."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kubegate.runtime import gate_metrics, gate_report

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate

_BACKLOG = 16


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the gate's affair.
        yield


@contextlib.asynccontextmanager
async def serving(gate: "Gate", path: Path) -> AsyncIterator[None]:
    """Answer on the socket `path` inside the block. Raises OSError if it cannot be made."""
    with _listener(path) as listener:
        config = uvicorn.Config(
            _application(gate),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="control socket")
        try:
            yield
        finally:
            server.should_exit = True
            await asyncio.wait({task})


@contextlib.contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # The folder is private already; the mode is for those who look.
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _application(gate: "Gate") -> Starlette:
    async def status(_: Request) -> Response:
        found = await gate_report.report(gate)
        return Response(found.model_dump_json(), media_type="application/json")

    async def reload(_: Request) -> Response:
        await gate.reload()
        return await status(_)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(gate_metrics.text(await gate_report.report(gate)), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/reload", reload, methods=["POST"]),
            Route("/metrics/kubegate", metrics),
        ]
    )
