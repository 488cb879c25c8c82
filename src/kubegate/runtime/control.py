"""HAProxy's sockets: one question, one answer (management guide 9.3 and 9.4)."""

import asyncio
import contextlib
import os
from pathlib import Path

_SECONDS = 5.0


async def ask(socket: Path, command: str, payload: bytes = b"", *, seconds: float = _SECONDS) -> str:
    """Send a command to a master or admin socket and return the whole answer. Raises OSError or TimeoutError.

    A payload ends at its first empty line, so it may have none. `seconds` is how long the answer may take.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await _connect(socket)
        try:
            writer.write(command.encode() + (b" <<\n" + payload.rstrip(b"\n") + b"\n" if payload else b"") + b"\n")
            await writer.drain()
            # The master answers only after the end of the question has been seen.
            writer.write_eof()
            return (await reader.read(-1)).decode(errors="replace")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _connect(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # By way of its folder's descriptor, for a unix socket's path may have 107 bytes only.
    folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{socket.name}")
    finally:
        os.close(folder)
