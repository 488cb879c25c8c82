"""A byte pipe whose two directions end separately, plain or in TLS; TLS streams of asyncio can only end both at once."""

import asyncio
import contextlib
import ssl
from typing import Protocol

_PART = 1 << 16
# What a TLS record holds at most (RFC 8446, section 5.1).
_RECORD = 1 << 14


class Pipe(Protocol):
    """One connection. Every method raises OSError (of which `ssl.SSLError` is one) when it is broken."""

    async def read(self) -> bytes:
        """Some bytes, empty at the end of this direction."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        ...

    async def end(self) -> None:
        """Say that nothing more will be sent; what comes can still be read."""
        ...

    async def close(self) -> None:
        """Let go of it, once what was written has been sent."""
        ...

    def abort(self) -> None:
        """Let go of it at once."""
        ...


class PlainPipe:
    """A TCP or unix connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """Some bytes, empty at the end."""
        return await self.reader.read(_PART)

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        self.writer.write(data)
        await self.writer.drain()

    async def end(self) -> None:
        """FIN."""
        if not self.writer.transport.is_closing():
            self.writer.write_eof()

    async def close(self) -> None:
        """Let go of it, once what was written has been sent."""
        self.writer.close()
        await self.writer.wait_closed()

    def abort(self) -> None:
        """Let go of it at once."""
        self.writer.transport.abort()


class TlsPipe:
    """TLS inside of another pipe, after `shake`. One task may read while another writes."""

    def __init__(self, inner: PlainPipe, context: ssl.SSLContext, name: str) -> None:
        self._inner = inner
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=False, server_hostname=name)
        self._sending = asyncio.Lock()

    async def shake(self) -> None:
        """The handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                # The alert that says why.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        """Some bytes, empty after the peer's close_notify. An end without it is an error: somebody may have cut it."""
        while True:
            try:
                data = self._tls.read(_PART)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            else:
                return data

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        for start in range(0, len(data), _RECORD):
            self._tls.write(data[start : start + _RECORD])
            await self._flush()

    async def end(self) -> None:
        """close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    async def close(self) -> None:
        """Let go of it, once what was written has been sent."""
        await self._inner.close()

    def abort(self) -> None:
        """Let go of it at once."""
        self._inner.abort()

    async def _feed(self) -> None:
        if data := await self._inner.read():
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _flush(self) -> None:
        async with self._sending:
            if waiting := self._out.read():
                await self._inner.write(waiting)
