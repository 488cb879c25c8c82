"""Which plans each worker may run: those that live on after a reload still know backends and names of their own.

Kept in a file, so that the next kubegate knows too. It is written before a change begins and after it is done, so that whoever
is killed in between leaves the word that what runs is one or the other.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kubegate.model.plan import Plan
from kubegate.runtime import plan_file
from kubegate.runtime.generation import Store
from kubegate.runtime.workers import Worker
from kubegate.system.files import explained, write_atomically

_FILE = "workers.json"


class WorkerPlans:
    """By pid: the folders of the generations that it may run; one where it is known exactly, the newest last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, tuple[Path, ...]] = {}
        self._current: int | None = None
        self._plans: dict[Path, Plan | None] = {}

    def load(self, workers: Collection[Worker], current: Path | None) -> None:
        """Read what an earlier kubegate kept. A worker that it did not know yet was started with what is `current`."""
        kept = _read(self._store.folder / _FILE)
        default = (current,) if current is not None else ()
        self._known, self._current = {}, None
        for worker in workers:
            self._known[worker.pid] = kept.get(worker.pid, default)
            self._current = worker.pid if worker.current else self._current

    def exactly(self, pid: int) -> Path | None:
        """The generation that a worker runs as an earlier kubegate noted, None if that is not known exactly."""
        noted = _read(self._store.folder / _FILE).get(pid, ())
        return noted[0] if len(noted) == 1 and noted[0].is_dir() else None

    def begin(self, folder: Path) -> None:
        """The current worker may run this generation too from now on. Raises FileTrouble."""
        if self._current is not None:
            known = self._known.get(self._current, ())
            self._write(self._known | {self._current: (*(one for one in known if one != folder), folder)})

    def note(self, workers: Collection[Worker], folder: Path, plan: Plan | None) -> None:
        """The current worker runs exactly this; those that have ended are forgotten. Raises FileTrouble."""
        self._plans[folder] = plan
        known = {one.pid: (folder,) if one.current else self._known.get(one.pid, ()) for one in workers}
        self._current = next((one.pid for one in workers if one.current), None)
        self._write(known)

    @property
    def several(self) -> bool:
        """Whether more than one worker is known."""
        return len(self._known) > 1

    def keep(self, workers: Collection[Worker]) -> None:
        """Forget those that have ended. Raises FileTrouble."""
        known = {one.pid: self._known[one.pid] for one in workers if one.pid in self._known}
        if known != self._known:
            self._write(known)

    def of(self, pid: int) -> tuple[Plan, ...]:
        """The plans that a worker may run, as far as they are known."""
        return tuple(plan for folder in self._known.get(pid, ()) if (plan := self._plan(folder)) is not None)

    def folders(self) -> set[Path]:
        """The generations that some worker may run."""
        return {folder for known in self._known.values() for folder in known}

    def _plan(self, folder: Path) -> Plan | None:
        if folder not in self._plans:
            self._plans[folder], _ = plan_file.load(folder)
        return self._plans[folder]

    def _write(self, known: dict[int, tuple[Path, ...]]) -> None:
        self._known = known
        needed = self.folders()
        self._plans = {folder: plan for folder, plan in self._plans.items() if folder in needed}
        content = {str(pid): [str(folder) for folder in folders] for pid, folders in known.items()}
        folder = self._store.folder
        with explained(
            f"the folder {folder} cannot be written to", "see that there is space, and that this user may write there"
        ):
            write_atomically(folder / _FILE, json.dumps(content).encode())


def _read(path: Path) -> dict[int, tuple[Path, ...]]:
    """What was kept; nothing if it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        return {int(pid): tuple(Path(str(folder)) for folder in folders) for pid, folders in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
