"""Watches that are held open, and opened again when they end, as clients do; it is known whether there was a reason."""

import asyncio
import contextlib
import threading
import time
from types import TracebackType
from typing import Self

from tests.support.rawhttp import request
from tests.support.run import Running, client

_WATCH = "/api/v1/namespaces/default/configmaps?watch=true"
# From a reason to the end of the last stream that ends for it: a server that is not there is found so by its clients' reading.
_REASON_SECONDS = 5.0
_AT_ONCE = 25


class Held:
    """So many watches of cluster `one` inside the block. `explained` ended for a reason, `unexplained` says how others ended."""

    def __init__(self, gate: Running, number: int) -> None:
        self.number = number
        self.open = 0
        self.explained = 0
        self.unexplained: list[str] = []
        self._port = gate.port
        self._tls = client()
        self._reasons: list[float] = []
        self._words = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._stopping = asyncio.Event()
        self._opening = asyncio.Semaphore(_AT_ONCE)

    def disturb(self) -> None:
        """From now on streams may end for a while."""
        self._reasons.append(time.monotonic())

    def note_words(self, count: int) -> None:
        """How often the gate has said that it ended an old worker's streams, which is a reason, too."""
        if count > self._words:
            self.disturb()
        self._words = count

    def _work(self) -> None:
        self._loop.run_until_complete(self._hold_all())

    async def _hold_all(self) -> None:
        tasks = [asyncio.create_task(self._hold()) for _ in range(self.number)]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self) -> None:
        while True:
            why = "refused"
            try:
                why = await self._once()
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                why = repr(error)
            await self._judge(time.monotonic(), why)
            await asyncio.sleep(0.2)

    async def _once(self) -> str:
        async with self._opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, server_hostname="one.test")
            writer.write(request("GET", _WATCH, host="one.test"))
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            if not head.startswith(b"HTTP/1.1 200"):
                return head.split(b"\r\n")[0].decode()
            self.open += 1
            try:
                while await reader.read(4096):
                    pass
            finally:
                self.open -= 1
            return "ended"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _judge(self, moment: float, why: str) -> None:
        # What the gate says is heard a little later.
        await asyncio.sleep(_REASON_SECONDS / 2)
        if any(abs(moment - reason) < _REASON_SECONDS for reason in self._reasons):
            self.explained += 1
        else:
            self.unexplained.append(why)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 60
        while self.open < self.number and time.monotonic() < deadline:
            time.sleep(0.1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)
        self._loop.close()
