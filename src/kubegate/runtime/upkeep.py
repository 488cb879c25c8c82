"""What a gate does all the time: it follows files, names and members, tries again what was refused, and keeps HAProxy running.

Nothing that goes wrong in any of it ends the gate: it is told, and begun anew.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kubegate.runtime.following import every
from kubegate.runtime.process import Say
from kubegate.system.files import reason

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate

_COLLECT_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 3600.0
# What was refused may be right by now without any file having changed: a disk has space again, a name can be resolved.
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_PAUSE_SECONDS = 1.0
_TOLD_AGAIN_SECONDS = 600.0


class Upkeep:
    """The tasks of a gate inside the block."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._logs = _Told(gate.news.say)

    async def __aenter__(self) -> Self:
        gate = self._gate
        asyncio.get_running_loop().set_exception_handler(self._tell_of)
        logging.getLogger().addHandler(self._logs)
        self._keeper = self._begin("keeping HAProxy running", gate.data_plane.keep_running)
        self._tasks = [
            self._begin("following files", gate.following.run),
            self._begin("following names and members", lambda: gate.inputs.keep_up(gate.following.mark)),
            self._begin("letting servers go", lambda: every(_COLLECT_SECONDS, self._collect)),
            self._begin("trying again", self._retry),
            self._begin("waiting for old workers", lambda: every(_COLLECT_SECONDS, self._reload_that_waits)),
            self._begin("housekeeping", lambda: every(_HOUSEKEEPING_SECONDS, self._housekeep)),
            self._begin("the watchdog", gate.service.keep_alive),
        ]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await _cancel([*self._tasks, *([self._keeper] if self._keeper else [])])
        logging.getLogger().removeHandler(self._logs)
        asyncio.get_running_loop().set_exception_handler(None)

    async def drain(self) -> None:
        """Only HAProxy is kept any longer."""
        await _cancel(self._tasks)

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(guarded(name, work, self._gate.news.say), name=name)

    def _tell_of(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        self._logs.tell(str(context.get("message")), error if isinstance(error, BaseException) else None)

    async def _collect(self) -> None:
        if self._gate.changing.locked():
            return
        with contextlib.suppress(OSError, TimeoutError):
            self._gate.streams_ended += await self._gate.data_plane.collect()

    async def _reload_that_waits(self) -> None:
        gate = self._gate
        with contextlib.suppress(OSError, TimeoutError):
            if gate.waiting is not None and not gate.changing.locked() and not await gate.data_plane.old_workers.must_wait():
                await gate.change()

    async def _retry(self) -> None:
        tries = 0
        while True:
            await asyncio.sleep(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)])
            if not self._gate.refused and self._gate.data_plane.certain:
                tries = 0
            elif not self._gate.changing.locked():
                tries += 1
                await self._gate.change()

    async def _housekeep(self) -> None:
        self._gate.following.mark()


async def guarded(name: str, work: Callable[[], Awaitable[None]], say: Say) -> None:
    """Do something until it is done, and begin it anew whatever ends it; the same trouble again is told once."""
    told = ""
    while True:
        try:
            await work()
            return
        except Exception as error:  # noqa: BLE001 - the one guard: whatever it is, a gate goes on
            if (trouble := described(error)) != told:
                say(f"{name} was interrupted, and goes on: {trouble}")
                told = trouble
            await asyncio.sleep(_PAUSE_SECONDS)


def described(error: BaseException) -> str:
    """What happened, in a line."""
    if isinstance(error, OSError):
        return reason(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Told(logging.Handler):
    """What libraries log, as sentences: each once in a while, and without the traceback that nobody asked for."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """A record of any library."""
        error = record.exc_info[1] if record.exc_info else None
        self.tell(record.getMessage().partition("\n")[0], error)

    def tell(self, message: str, error: BaseException | None) -> None:
        """One trouble."""
        sentence = f"{message}: {described(error)}" if error else message
        now = time.monotonic()
        self._told = {one: when for one, when in self._told.items() if now - when < _TOLD_AGAIN_SECONDS}
        if sentence not in self._told:
            self._told[sentence] = now
            self._say(sentence)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
