"""What is not allowed any more, told to every worker, those of earlier configurations too; and what is open of it, ended."""

from collections.abc import Sequence

from kubegate.model.plan import Plan
from kubegate.render.haproxy.narrow import Narrowing, narrowing
from kubegate.runtime.process import Say
from kubegate.runtime.worker_plans import WorkerPlans
from kubegate.runtime.workers import Failed, Worker, Workers


class Narrower:
    """Tells workers. Those that do not answer are told later, by `catch_up`."""

    def __init__(self, workers: Workers, plans: WorkerPlans, say: Say) -> None:
        self._workers = workers
        self._plans = plans
        self._say = say
        # By pid, what an old worker has been told last: at the next change that is most often the same.
        self._told: dict[int, Sequence[Narrowing]] = {}
        self._owed: list[Plan] = []

    async def narrow(self, before: Plan | None, after: Plan) -> int:
        """Bring every worker from what it knows to what is allowed now. Returns how many streams were ended."""
        try:
            workers = await self._workers.all()
        except (OSError, TimeoutError):
            self._owe(before, "HAProxy's master process")
            return 0
        self._told = {worker.pid: self._told[worker.pid] for worker in workers if worker.pid in self._told}
        return sum([await self._narrow(worker, before, after) for worker in workers])

    async def catch_up(self, after: Plan | None) -> int:
        """Tell those that could not be told when it was time. Returns how many streams were ended."""
        if after is None or not self._owed:
            return 0
        owed, self._owed = self._owed, []
        ended = sum([await self.narrow(before, after) for before in owed])
        if not self._owed:
            self._say(f"HAProxy answers again, and knows what is not allowed any more; {ended} open streams were ended")
        return ended

    async def _narrow(self, worker: Worker, before: Plan | None, after: Plan) -> int:
        usual = (before,) if before else ()
        known = usual if worker.current else self._plans.of(worker.pid) or usual
        whole = [narrowing(one, after) for one in known]
        if not worker.current and self._told.get(worker.pid) == whole:
            return 0
        try:
            ended = sum([await self._tell(worker, what) for what in whole])
        except (OSError, TimeoutError):
            # One that has ended needs no word, and carries nothing.
            if worker.alive():
                self._owe(before, f"worker {worker.pid}")
            return 0
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
        return await self._workers.end(worker, await self._workers.ending(worker, what))

    def _owe(self, before: Plan | None, who: str) -> None:
        if before is None:
            return
        if not self._owed:
            self._say(f"{who} does not answer, and goes on with what is not allowed any more; it is told as soon as it does")
        if before not in self._owed:
            self._owed.append(before)
