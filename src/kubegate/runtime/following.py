"""Following what a gate was made of: when something changed, and nothing has for a moment, it is made anew."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from kubegate.system.watching import Files

_QUIET_SECONDS = 0.1
_LONGEST_QUIET_SECONDS = 1.0


class Following:
    """Calls `change` after files changed, or after `mark`; a burst of events is one change."""

    def __init__(self, change: Callable[[], Awaitable[object]]) -> None:
        self.files = Files()
        self._change = change
        self._dirty = asyncio.Event()

    def mark(self) -> None:
        """Say that something changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await asyncio.gather(self.files.run(), self._mark_when_changed(), self._keep_changing())

    async def _mark_when_changed(self) -> None:
        while True:
            await self.files.changed.wait()
            self.files.changed.clear()
            self.mark()

    async def _keep_changing(self) -> None:
        while True:
            await self._dirty.wait()
            deadline = time.monotonic() + _LONGEST_QUIET_SECONDS
            # A file that is written all the time must not put it off for ever.
            while self._dirty.is_set() and time.monotonic() < deadline:
                self._dirty.clear()
                await asyncio.sleep(_QUIET_SECONDS)
            self._dirty.clear()
            await self._change()


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again, with a pause of so many seconds before each time, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await work()
