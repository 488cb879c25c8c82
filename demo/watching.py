"""One watch as an HTTP stream: a line of JSON for each change, until the caller's time is over or the caller is gone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from demo import objects
from demo.namespaces import Namespaces, TooOld

_LONGEST_SECONDS = 1800.0
Form = Callable[[objects.Namespace], objects.Document]


def watch(request: Request, state: Namespaces, form: Form) -> Response:
    """The answer to a watch of namespaces; `form` says how each is shown. Raises HTTPException."""
    version = request.query_params.get("resourceVersion", "")
    seconds = request.query_params.get("timeoutSeconds", "")
    if not all(text.isascii() and text.isdigit() for text in (version, seconds) if text):
        raise HTTPException(400, "resourceVersion and timeoutSeconds are numbers")
    if request.query_params.get("sendInitialEvents"):
        raise HTTPException(422, "sendInitialEvents is forbidden: the stand-in streams no lists")
    # Without a version, and with 0 ("any"), a watch begins with what there is.
    since = int(version or 0) or None
    limit = min(float(seconds or 0) or _LONGEST_SECONDS, _LONGEST_SECONDS)
    return StreamingResponse(_lines(state, since, limit, form), media_type="application/json")


async def _lines(state: Namespaces, since: int | None, seconds: float, form: Form) -> AsyncIterator[bytes]:
    changes = state.watch(since)
    try:
        async with asyncio.timeout(seconds):
            async for change in changes:
                yield _line(change.kind, form(change.namespace))
    except TimeoutError:
        return
    except TooOld:
        yield _line("ERROR", objects.status(410, "Expired", f"too old resource version: {since} ({state.version})"))
    finally:
        await changes.aclose()


def _line(kind: str, document: objects.Document) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"
