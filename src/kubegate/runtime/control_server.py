"""What a running gate answers on its own unix socket (mode 0600): its status and metrics, and what it is asked to do.

Problems of what it is asked about are its answer, too, with status 422.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kubegate.model.gate_status import Reloaded
from kubegate.model.problem import InvalidInput
from kubegate.runtime import gate_metrics, gate_report
from kubegate.runtime.rehearsal import rehearse
from kubegate.system import http_service, listeners

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate


@contextlib.asynccontextmanager
async def serving(gate: "Gate", path: Path) -> AsyncIterator[None]:
    """Answer on the socket `path` inside the block. Raises OSError if it cannot be made."""
    with contextlib.closing(listeners.unix(path)) as listening:
        async with http_service.serving(_application(gate), listening.socket, "control socket"):
            yield


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
