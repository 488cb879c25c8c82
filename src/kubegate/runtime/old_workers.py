"""The bound on workers of earlier configurations: a reload waits for one of them to end, and then the oldest is ended."""

import asyncio
import time
from dataclasses import dataclass

from kubegate.runtime.process import HAProxy
from kubegate.runtime.workers import Worker, Workers

_POLL_SECONDS = 0.05
_END_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many workers of earlier configurations may live, and how many seconds a reload waits for one of them to end."""

    old_workers: int = 8
    wait: float = 30.0


class OldWorkers:
    """Says whether there is room for one more, and makes it. Every method may raise OSError or TimeoutError."""

    def __init__(self, workers: Workers, haproxy: HAProxy) -> None:
        self._workers = workers
        self._haproxy = haproxy
        self._waiting_since: float | None = None
        self.bounds = Bounds()

    async def must_wait(self) -> bool:
        """Whether a reload has to wait at this moment; from the first time that it has to, the time counts."""
        if len(await self._workers.old()) < self.bounds.old_workers:
            return False
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() < self._waiting_since + self.bounds.wait

    def wait_no_more(self) -> None:
        """No reload is wanted any more, or it was made."""
        self._waiting_since = None

    async def make_room(self) -> tuple[str, ...]:
        """End the oldest where there are too many. Returns warnings."""
        warned: list[str] = []
        while len(old := await self._workers.old()) >= self.bounds.old_workers:
            oldest = old[0]
            try:
                count = await self._workers.end(oldest, [one.handle for one in await self._workers.sessions(oldest)])
                with_it = f"{count} streams"
            except TimeoutError:
                with_it = "all that it carried, for it did not answer"
            warned.append(
                f"{len(old)} workers of earlier configurations lived, which is the bound (maxOldWorkers); "
                f"the oldest was ended, with {with_it}"
            )
            await self._until_gone(oldest)
        return tuple(warned)

    async def _until_gone(self, worker: Worker) -> None:
        deadline, asked = time.monotonic() + _END_SECONDS, False
        while any(one.pid == worker.pid for one in await self._workers.all()):
            if time.monotonic() > deadline:
                self._haproxy.end_worker(worker.pid, hangs=asked)
                deadline, asked = deadline + _END_SECONDS, True
            await asyncio.sleep(_POLL_SECONDS)
