"""Being asked to stop: by SIGTERM, SIGHUP or Ctrl-C, at any moment from before anything was started."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Stop:
    """An async context manager in which these signals end nothing by themselves: they set `asked`, and then `again`.

    SIGUSR2 sets `leave` for those who wait for it: to end, and leave running what was started. SIGHUP is a request to stop unless
    `hangup` is given, which is called then.

    Signals that this process was started to ignore stay ignored: so do nohup and scripts with their background jobs.
    """

    def __init__(self, hangup: Callable[[], None] | None = None) -> None:
        self.asked = asyncio.Event()
        self.again = asyncio.Event()
        self.leave = asyncio.Event()
        self._hangup = hangup
        self._before: dict[signal.Signals, _Handler] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (*_SIGNALS, signal.SIGUSR2):
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                loop.add_signal_handler(number, self._handler(number))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        for number, before in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _handler(self, number: signal.Signals) -> Callable[[], None]:
        if number is signal.SIGUSR2:
            return self.leave.set
        return self._hangup if number is signal.SIGHUP and self._hangup is not None else self.ask

    def ask(self) -> None:
        """Ask once more."""
        (self.again if self.asked.is_set() else self.asked).set()

    async def unless_asked(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """The result of `work`, or None if somebody asked to stop before it was done, and it was cancelled.

        So it is if `work` failed at that moment: a Ctrl-C in a terminal reaches the programs that it runs too.
        """
        task = asyncio.create_task(work, name="work that a signal ends")
        asked = asyncio.create_task(self.asked.wait(), name="wait for a signal")
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            task.cancel()
            await asyncio.wait({task, asked})
        if task.cancelled():
            return None
        if task.exception():
            await _signals_seen()
        return None if task.exception() and self.asked.is_set() else task.result()

    async def unless_again(self, work: Coroutine[Any, Any, bool]) -> bool:
        """The result of `work`; False if somebody asked a second time before it was done, and it was cancelled."""
        task = asyncio.create_task(work, name="work that a second signal ends")
        again = asyncio.create_task(self.again.wait(), name="wait for a second signal")
        try:
            await asyncio.wait({task, again}, return_when=asyncio.FIRST_COMPLETED)
            return task.done() and task.result()
        finally:
            again.cancel()
            task.cancel()
            await asyncio.wait({task, again})


async def _signals_seen() -> None:
    """Let the event loop read which signals came, and then tell of them."""
    for _ in range(3):
        await asyncio.sleep(0)
