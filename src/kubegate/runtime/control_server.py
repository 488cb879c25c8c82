"""What a running gate answers on its own unix socket (mode 0600): its status and metrics, and what it is asked to do.

Problems of what it is asked about are its answer, too, with status 422.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kubegate.model.gate_status import Reloaded
from kubegate.model.problem import InvalidInput
from kubegate.runtime import gate_metrics, gate_report
from kubegate.runtime.rehearsal import rehearse

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
        outcome = await gate.reload()
        found = Reloaded(
            changes=outcome.changes if outcome else (),
            reload=outcome is not None and outcome.reloaded,
            streams_ended=outcome.ended if outcome else 0,
            status=await gate_report.report(gate),
        )
        return Response(found.model_dump_json(), media_type="application/json")

    async def rehearsal(request: Request) -> Response:
        asked = await request.json()
        try:
            found = await rehearse(gate, Path(asked["file"]), asked["shown"], keys=bool(asked["keys"]))
        except InvalidInput as error:
            problems = [asdict(problem) for problem in error.problems]
            return JSONResponse({"problems": problems}, status_code=422)
        return Response(found.model_dump_json(), media_type="application/json")

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(gate_metrics.text(await gate_report.report(gate)), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/reload", reload, methods=["POST"]),
            Route("/rehearsal", rehearsal, methods=["POST"]),
            Route("/metrics/kubegate", metrics),
        ]
    )
