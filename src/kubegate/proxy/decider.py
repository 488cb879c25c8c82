"""Answers HAProxy on a unix socket: may this request pass, and, after a 401, is there a new credential?

`POST /judge`: the body has five lines, which are method, Host, path, query and two words separated by a comma: `upgrade` if the
request has an Upgrade header, `body` if it may have a body; either may be missing. The answer is the value that the map of
verdicts has for it, and is in the map already (`verdict_memo`).

`POST /unauthorized`: the body is an object whose `cluster` says whose credential is meant. The answer comes when it was renewed:
200; 504 if that took too long, 502 if it failed.

The socket is private (0600) in a private folder, and each connection has one question. Whatever is not one is answered 400.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import h11

from kubegate.errors import KubegateError
from kubegate.proxy.judge import Judge
from kubegate.proxy.verdict_memo import VerdictMemo, key_of, value_of
from kubegate.system import listeners

Refresh = Callable[[str], Awaitable[None]]

REFRESH_SECONDS = 20.0
_QUESTION_SECONDS = 5.0
# A request line and its headers fit into HAProxy's buffer; a question has parts of them.
_MOST_BYTES = 131072
_LINES = 5
_BACKLOG = 1024


class BadQuestion(ValueError):
    """Nothing that HAProxy would ask."""


class Decider:
    """Who answers. `judge` may be replaced while it serves, after which the map has to be emptied and `memo.clear` be called."""

    def __init__(self, judge: Judge, memo: VerdictMemo, refresh: Refresh, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self.judge = judge
        self.memo = memo
        self._refresh = refresh
        self._refresh_seconds = refresh_seconds

    @contextlib.asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Answer on the socket `path` inside the block. Raises OSError if it cannot be made."""
        with contextlib.closing(listeners.unix(path)) as listening:
            server = await asyncio.start_unix_server(self._serve, sock=listening.socket, limit=_MOST_BYTES, backlog=_BACKLOG)
            try:
                yield
            finally:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):
                writer.write(_response(*await self._respond(reader)))
                async with asyncio.timeout(_QUESTION_SECONDS):
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            # Whatever went wrong, HAProxy does not wait for it.
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader) -> tuple[int, str]:
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                target, question = await _question(reader)
            return await self._answer(target, question)
        except (BadQuestion, h11.RemoteProtocolError):
            return 400, ""

    async def _answer(self, target: bytes, question: bytes) -> tuple[int, str]:
        if target == b"/judge":
            return 200, await self.verdict(question)
        if target == b"/unauthorized":
            return await self._refreshed(question), ""
        raise BadQuestion

    async def verdict(self, question: bytes) -> str:
        """The verdict on what a question describes, remembered. Raises BadQuestion."""
        lines = question.split(b"\n")
        if len(lines) != _LINES:
            raise BadQuestion
        method, host, path, query, words = lines
        flags = words.split(b",")
        value = value_of(
            self.judge.verdict(_text(method), _text(host), path, query, upgrade=b"upgrade" in flags, body=b"body" in flags)
        )
        await self.memo.keep(key_of(question), value)
        return value

    async def _refreshed(self, question: bytes) -> int:
        try:
            match json.loads(question):
                case {"cluster": str(cluster)}:
                    pass
                case _:
                    raise BadQuestion
        except ValueError:
            raise BadQuestion from None
        try:
            async with asyncio.timeout(self._refresh_seconds):
                await self._refresh(cluster)
        except TimeoutError:
            return 504
        except KubegateError:
            return 502
        return 200


async def _question(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Target and body of the request that comes."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_BYTES)
    target, body = b"", bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_MOST_BYTES))
        elif isinstance(event, h11.Request):
            if event.method != b"POST":
                raise BadQuestion
            target = event.target
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BYTES:
                raise BadQuestion
        elif isinstance(event, h11.EndOfMessage):
            return target, bytes(body)
        else:
            raise BadQuestion


def _response(status: int, text: str) -> bytes:
    body = text.encode("ascii")
    head = f"HTTP/1.1 {status} x\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
