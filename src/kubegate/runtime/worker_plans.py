"""Which plan each worker runs: those that live on after a reload still know backends and names of their own."""

import json
from collections.abc import Iterable
from pathlib import Path

from kubegate.model.plan import Plan
from kubegate.runtime import plan_file
from kubegate.runtime.generation import Store
from kubegate.runtime.workers import Worker
from kubegate.system.files import write_atomically

_FILE = "workers.json"


class WorkerPlans:
    """By pid: the folder of the generation, and its plan. Kept in a file, so that the next kubegate knows too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, tuple[Path, Plan | None]] = {}

    def load(self) -> None:
        """Read what an earlier kubegate kept; what cannot be read is not known."""
        try:
            found = json.loads((self._store.folder / _FILE).read_bytes())
            self._known = {int(pid): (Path(folder), None) for pid, folder in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._known = {}

    def note(self, workers: Iterable[Worker], folder: Path, plan: Plan | None) -> None:
        """The current worker runs this plan now; those that have ended are forgotten. Raises OSError."""
        alive = {worker.pid: worker for worker in workers}
        self._known = {pid: known for pid, known in self._known.items() if pid in alive}
        for pid, worker in alive.items():
            if worker.current:
                self._known[pid] = (folder, plan)
        content = {str(pid): str(known[0]) for pid, known in self._known.items()}
        write_atomically(self._store.folder / _FILE, json.dumps(content).encode())

    def of(self, pid: int) -> Plan | None:
        """The plan of a worker, None if nobody knows."""
        folder, plan = self._known.get(pid, (None, None))
        if plan is None and folder is not None:
            plan, _ = plan_file.load(folder)
            self._known[pid] = (folder, plan)
        return plan

    def folders(self) -> set[Path]:
        """The generations that some worker runs."""
        return {folder for folder, _ in self._known.values()}
