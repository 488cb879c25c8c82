"""Listeners on loopback for tests, plain or with TLS, and the little HTTP that they need."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that hands each connection to `handler`; gives its port."""
    running: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = asyncio.current_task()
        assert one is not None
        running.add(one)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            running.discard(one)
            writer.transport.abort()

    server = await asyncio.start_server(guarded, host, 0, ssl=context, ssl_shutdown_timeout=1 if context else None)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for one in tuple(running):
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0.01)


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads whatever comes and never answers."""
    while await reader.read(4096):
        pass


def says(answer: bytes) -> Handler:
    """Answers the first bytes with `answer`, and closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return handler


@dataclass
class Script:
    """A tiny API server: answers every request with `status` and `body` and keeps what it received."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(x.split(":")[1]) for x in head.lower().split("\r\n") if x.startswith("content-length:")), 0)
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(length))
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        line = f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(content)}\r\nConnection: close\r\n{self.headers}\r\n"
        writer.write(line.encode() + content)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def values(self, name: str) -> list[str]:
        """Every value of a header of the last request."""
        pairs = [line.partition(": ") for line in self.heads[-1].split("\r\n")]
        return [value for key, _, value in pairs if key.lower() == name.lower()]


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
