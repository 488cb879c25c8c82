"""What is not allowed any more, told to every worker, those of earlier configurations too; and what is open of it, ended."""

import time
from collections.abc import Sequence

from kubegate.model.plan import Plan
from kubegate.render.haproxy.narrow import Narrowing, narrowing
from kubegate.runtime.process import HAProxy, Say
from kubegate.runtime.worker_plans import WorkerPlans
from kubegate.runtime.workers import Failed, Worker, Workers

_AGAIN_SECONDS = 5.0
_HANGS_SECONDS = 30.0


class Narrower:
    """Tells workers. Those that do not answer are told later, by `catch_up`; old ones that hang are ended."""

    def __init__(self, workers: Workers, plans: WorkerPlans, haproxy: HAProxy, say: Say) -> None:
        self._workers = workers
        self._plans = plans
        self._haproxy = haproxy
        self._say = say
        # By pid, what an old worker has been told last: at the next change that is most often the same.
        self._told: dict[int, Sequence[Narrowing]] = {}
        self._owed: list[Plan] = []
        self._due = 0.0
        # By pid, since when an old worker has not answered.
        self._silent: dict[int, float] = {}

    async def narrow(self, before: Plan | None, after: Plan, *, again: bool = False) -> int:
        """Bring every worker from what it knows to what is allowed now. Returns how many streams were ended."""
        try:
            workers = await self._workers.all()
        except (OSError, TimeoutError):
            self._owe(before, "HAProxy's master process", again=again)
            return 0
        self._told = {worker.pid: self._told[worker.pid] for worker in workers if worker.pid in self._told}
        self._silent = {worker.pid: self._silent[worker.pid] for worker in workers if worker.pid in self._silent}
        return sum([await self._narrow(worker, before, after, again=again) for worker in workers])

    async def catch_up(self, after: Plan | None) -> int:
        """Tell those that could not be told when it was time. Returns how many streams were ended."""
        if after is None or not self._owed or time.monotonic() < self._due:
            return 0
        ended = 0
        for before in tuple(self._owed):
            self._owed.remove(before)
            ended += await self.narrow(before, after, again=True)
        if not self._owed:
            self._say(f"HAProxy answers again, and knows what is not allowed any more; {ended} open streams were ended")
        return ended

    async def _narrow(self, worker: Worker, before: Plan | None, after: Plan, *, again: bool) -> int:
        usual = (before,) if before else ()
        known = usual if worker.current else self._plans.of(worker.pid) or usual
        whole = [narrowing(one, after) for one in known]
        if not worker.current and self._told.get(worker.pid) == whole:
            return 0
        try:
            ended = sum([await self._tell(worker, what) for what in whole])
        except (OSError, TimeoutError):
            # One that has ended needs no word, and carries nothing.
            if worker.alive() and not self._ends(worker):
                self._owe(before, f"worker {worker.pid}", again=again)
            return 0
        self._silent.pop(worker.pid, None)
        self._told[worker.pid] = whole
        return ended

    async def _tell(self, worker: Worker, what: Narrowing) -> int:
        if not worker.current:
            for step in what.steps:
                # In a worker of an earlier configuration some of it may be unknown; whatever is known there counts.
                try:
                    await self._workers.run([step], worker)
                except Failed:
                    continue
        return await self._workers.end(worker, await self._workers.ending(worker, what, takes_new=worker.current))

    def _ends(self, worker: Worker) -> bool:
        """Whether a worker is ended: an old one that hangs must not go on for ever with what is not allowed any more."""
        if worker.current:
            return False
        since = self._silent.setdefault(worker.pid, time.monotonic())
        if time.monotonic() < since + _HANGS_SECONDS:
            return False
        self._say(f"worker {worker.pid} of an earlier configuration hangs, and is ended with all that it carries")
        self._haproxy.end_worker(worker.pid, hangs=True)
        return True

    def _owe(self, before: Plan | None, who: str, *, again: bool) -> None:
        self._due = time.monotonic() + _AGAIN_SECONDS
        if before is None:
            return
        if not self._owed and not again:
            self._say(f"{who} does not answer, and goes on with what is not allowed any more; it is told as soon as it does")
        if before not in self._owed:
            self._owed.append(before)
