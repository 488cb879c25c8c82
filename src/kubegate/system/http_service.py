"""A small HTTP service of this process on a socket that listens, until the end of a block. Loads uvicorn."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the program's affair.
        yield


@contextlib.asynccontextmanager
async def serving(application: Starlette, listener: socket.socket, name: str) -> AsyncIterator[None]:
    """Answer inside the block; `name` is that of the task that does."""
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=name)
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({task})
