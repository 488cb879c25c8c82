"""A way to an API server behind a proxy, for HAProxy, which speaks neither CONNECT nor SOCKS5: a unix socket that leads there.

Bytes are carried as they are, and so is the end of each direction.
"""

import asyncio
import os
import select
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kubegate.cluster.context import Context
from kubegate.cluster.environ_proxy import proxy_for
from kubegate.errors import KubegateError
from kubegate.proxy.dial import DialFailed, Proxy, dial, read_proxy
from kubegate.proxy.pipe import Pipe, PlainPipe
from kubegate.system.files import reason

__all__ = ["DialFailed", "Leading", "Relay", "RelayTrouble", "proxy_for", "proxy_of"]

_BACKLOG = 1024
_DIAL_SECONDS = 10.0
# How often it is looked whether who has ended one direction has gone altogether.
_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 30.0


def proxy_of(context: Context, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy on the way to a context's API server: its `proxy-url`, else what the environment names.

    Raises InvalidInput if that names no proxy.
    """
    return context.proxy_url or proxy_for(context.url, environ)


class RelayTrouble(KubegateError):
    """The relay cannot listen."""


class Leading:
    """Leads from a unix socket to where `way` leads, inside the block.

    The socket is for this user only, and removed at the end. A connection that does not come about is closed, and `say`
    is told why, the same trouble once until it is over. Raises RelayTrouble if it cannot listen.
    """

    def __init__(self, way: Callable[[], Awaitable[Pipe]], socket_path: Path, say: Callable[[str], None] | None) -> None:
        self._way = way
        self._path = socket_path
        self._say = say
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._told = ""

    async def __aenter__(self) -> Self:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Before it has a name, so that nobody else can connect even for a moment.
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(str(self._path))
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, backlog=_BACKLOG)
        except OSError as error:
            listener.close()
            raise RelayTrouble(f"the relay cannot listen on {self._path}: {reason(error)}") from None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for one in tuple(self._running):
            one.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        client = PlainPipe(reader, writer)
        try:
            await self._lead(client)
        except asyncio.CancelledError:
            # The relay ends; asyncio's server would tell of it.
            pass
        finally:
            client.abort()

    async def _lead(self, client: PlainPipe) -> None:
        try:
            server = await self._way()
        except DialFailed as error:
            self._tell(error)
            return
        self._told = ""
        try:
            await _carry(client, server)
        finally:
            server.abort()

    def _tell(self, error: DialFailed) -> None:
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        if self._say is not None and text != self._told:
            self._say(text)
        self._told = text


class Relay(Leading):
    """Leads from a unix socket to `host:port` by way of a proxy, inside the block.

    `ca_pem` are CAs that a proxy in TLS may be verified by, beside the system's. Raises DialFailed for a URL that names no
    proxy, RelayTrouble if it cannot listen.
    """

    def __init__(
        self,
        proxy_url: str,
        host: str,
        port: int,
        socket_path: Path,
        *,
        ca_pem: bytes | None = None,
        say: Callable[[str], None] | None = None,
        seconds: float = _DIAL_SECONDS,
    ) -> None:
        proxy: Proxy = read_proxy(proxy_url)
        super().__init__(lambda: dial(proxy, host, port, ca_pem, seconds), socket_path, say)


async def _carry(client: PlainPipe, server: Pipe) -> None:
    """Both directions until both have ended, or one is broken, or the client has gone."""
    try:
        async with asyncio.TaskGroup() as both:
            forth = both.create_task(_one_way(client, server))
            back = both.create_task(_one_way(server, client))
            leaving = both.create_task(_until_gone(client, forth))
            await asyncio.wait([forth, back])
            leaving.cancel()
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
            await server.close()
    except* OSError:
        # One end has left, which the other one learns by the end of the connection.
        pass


async def _one_way(source: Pipe, sink: Pipe) -> None:
    while data := await source.read():
        await sink.write(data)
    await sink.end()


async def _until_gone(client: PlainPipe, forth: "asyncio.Task[None]") -> None:
    """A client that has ended its direction may still read; one that has gone, as the kernel tells, does not."""
    await asyncio.wait([forth])
    connection: socket.socket = client.writer.get_extra_info("socket")
    if connection.fileno() < 0:
        raise ConnectionResetError("the client has gone")
    watching = select.poll()
    watching.register(connection.fileno(), 0)
    while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in watching.poll(0)):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
    raise ConnectionResetError("the client has gone")
