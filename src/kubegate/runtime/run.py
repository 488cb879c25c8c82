"""`kubegate run`: the gate that a file declares, kept as the file says for as long as it runs.

Whatever happens, the last configuration that worked goes on: what cannot be used is refused as a whole, and told.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from kubegate.errors import KubegateError
from kubegate.model.config import Config
from kubegate.model.gatefile import Declaration
from kubegate.model.names import printable
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime import control_server, gate_folders, listening, opening, started
from kubegate.runtime.binary import Binary
from kubegate.runtime.dataplane import DataPlane, Outcome
from kubegate.runtime.findings import with_remedy
from kubegate.runtime.following import Following
from kubegate.runtime.gate_folders import GateFolders, folders_of
from kubegate.runtime.generation import Store
from kubegate.runtime.holes import warnings_about
from kubegate.runtime.inputs import Gathered, Inputs, declared_files
from kubegate.runtime.launch import Launch
from kubegate.runtime.news import News
from kubegate.runtime.old_workers import Bounds
from kubegate.runtime.process import HAProxy, Say
from kubegate.runtime.reading import read_file
from kubegate.runtime.service import Service
from kubegate.runtime.signals import Stop
from kubegate.runtime.upkeep import Upkeep
from kubegate.system.files import FileState, explained, private_folder, reason, state_of

_CHANGE_SECONDS = 20.0
_DRAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file and all that it names came to: a declaration and its facts, or problems."""

    declaration: Declaration | None = None
    gathered: Gathered | None = None
    problems: tuple[Problem, ...] = ()

    def refused(self, *problems: Problem) -> "Reading":
        """The same with these problems too: nothing that could be used."""
        return Reading(problems=(*self.problems, *(with_remedy(problem) for problem in problems)))


class Gate:
    """A gate that runs. `open` it, `serve` until asked to stop; at the end of `async with` it is gone, or left running."""

    data_plane: DataPlane
    haproxy: HAProxy
    binary: Binary

    def __init__(self, file: Path, environ: Mapping[str, str], folders: GateFolders, store: Store, say: Say) -> None:
        self.file = file
        self.folders = folders
        self.store = store
        self.news = News(say)
        self.service = Service(environ)
        self.inputs = Inputs(environ)
        self.following = Following(self.change)
        self.launch = Launch(folders.kept)
        self.refused: tuple[Problem, ...] = ()
        self.warnings: tuple[Problem, ...] = ()
        # Why a part of what is declared does not run yet, None if all of it does.
        self.waiting: Problem | None = None
        self.config: Config | None = None
        self.from_last_good = False
        self.started = self.since = datetime.now(UTC)
        self.reloads = self.live_changes = self.streams_ended = 0
        # Held while what runs is brought to what is declared.
        self.changing = asyncio.Lock()
        # HAProxy goes on when this process ends.
        self.leave = False
        self._fresh = False
        self._file_state: FileState = (0, 0, 0)

    @classmethod
    async def open(cls, file: Path, environ: Mapping[str, str], say: Say) -> Self:
        """Bring the gate up: take over what an earlier kubegate left running, or start it, if need be as it last was.

        Raises InvalidInput with every problem if there is nothing to fall back to, or KubegateError; then nothing was started.
        """
        folders = folders_of(file, environ)
        for folder in (folders.run.parent, folders.state, folders.kept.parent, folders.kept):
            with explained(f"the folder {folder} cannot be used", "see that there is space, and that this user may write there"):
                private_folder(folder)
        store = Store(folders.run, folders.kept)
        store.acquire()
        gate = cls(file, environ, folders, store, say)
        try:
            await opening.open_gate(gate)
            gate_folders.remember(folders, file)
        except asyncio.CancelledError:
            # Somebody asked to stop: then it ends, whoever had started it.
            adopted, gate.leave = gate.leave, False
            await gate.close(_DRAIN_SECONDS if adopted else 0)
            raise
        except BaseException:
            await gate.close()
            raise
        return gate

    def parse(self) -> Reading:
        """Read the file, and follow it from now on."""
        self._file_state = state_of(self.file)
        if not self.following.files.follows(self.file):
            self.following.files.follow({self.file: self._file_state})
        try:
            return Reading(read_file(self.file))
        except InvalidInput as error:
            return Reading().refused(*error.problems)

    async def look(self, reading: Reading, *, fresh: bool) -> Reading:
        """Look at all that the file names, and follow it from now on; `fresh` looks at every server again."""
        if reading.declaration is None:
            return reading
        try:
            gathered = await self.inputs.gather(reading.declaration, fresh=fresh)
        except InvalidInput as error:
            # They may be what is mended.
            self.following.files.follow_too(declared_files(reading.declaration.config))
            return reading.refused(*error.problems)
        self.following.files.follow({self.file: self._file_state, **gathered.files})
        return Reading(reading.declaration, gathered)

    async def bring_to(self, declaration: Declaration, gathered: Gathered) -> Outcome | None:
        """Bring HAProxy to what is declared. Returns what came of it, None if it was refused."""
        config = declaration.config

        def planned(running: Plan | None) -> Plan:
            return plan(config, gathered.facts, running)

        self._bound(config)
        outcome = await self.try_to_apply(planned, declaration)
        if outcome is not None:
            self.settled(config, gathered)
            self.service.status(self.summary())
        return outcome

    async def try_to_apply(
        self, planned: Callable[[Plan | None], Plan], declaration: Declaration | None = None
    ) -> Outcome | None:
        """Bring HAProxy to a plan. What HAProxy or the disk refuses is told, and what ran goes on: then it returns None."""
        try:
            outcome = await self.data_plane.apply(planned)
        except (KubegateError, OSError, TimeoutError) as error:
            taken = opening.taken_addresses(declaration, self.data_plane.plan) if declaration is not None else []
            self.refuse(tuple(taken) or (self.trouble(error),))
            return None
        self._wait(outcome)
        if outcome.reloaded or outcome.changes:
            self.since = datetime.now(UTC)
            self.reloads += outcome.reloaded
            self.live_changes += not outcome.reloaded
            self.streams_ended += outcome.ended
            self.news.changed(outcome, self.data_plane.generation)
        return outcome

    def _bound(self, config: Config) -> None:
        declared = config.data_plane
        self.data_plane.old_workers.bounds = Bounds(declared.max_old_workers, declared.old_worker_wait.total_seconds())

    def _wait(self, outcome: Outcome) -> None:
        """Take down whether a reload waits, and tell it when it begins to."""
        waited, self.waiting = self.waiting, None
        if outcome.waiting:
            bounds = self.data_plane.old_workers.bounds
            self.waiting = Problem(
                "",
                "gate.waiting",
                f"a reload waits for one of {bounds.old_workers} workers of earlier configurations to end, "
                f"{bounds.wait:g} s at most; what needs no reload runs already",
                "end long streams, or declare a larger dataPlane.maxOldWorkers",
            )
            if waited is None:
                self.news.say(self.waiting.message)

    def trouble(self, error: KubegateError | OSError) -> Problem:
        """Why something that was well declared does not run."""
        shown = printable(str(self.file))
        if isinstance(error, KubegateError):
            return Problem(shown, "gate.refused", error.message, error.hint)
        why = "it does not answer in time" if isinstance(error, TimeoutError) else reason(error)
        return Problem(shown, "gate.refused", f"HAProxy cannot be told: {why}", "it is tried again by itself")

    def settled(self, config: Config, gathered: Gathered) -> None:
        """Take down what runs now."""
        self._bound(config)
        self.config = config
        self.warnings = (*gathered.warnings, *_open_to_others(config), *warnings_about(self.binary))
        self.news.warned(self.current_warnings())
        self.refused = ()
        self.from_last_good = False
        with contextlib.suppress(OSError):
            self.launch.keep()

    def current_warnings(self) -> tuple[Problem, ...]:
        """What is not as it should be at this moment."""
        later = started.later(self.config, self.haproxy.pid, self.binary) if self.config else []
        return (*self.warnings, *later, *([self.waiting] if self.waiting else []))

    def refuse(self, problems: tuple[Problem, ...]) -> None:
        """What ran goes on, for these problems; told when they are others than before."""
        if problems != self.refused:
            self.news.refused(problems)
        self.refused = problems
        # What waited is not what is declared any more.
        self.waiting = None
        self.service.status(f"{self.summary()}; the file as it is now is refused: {problems[0].message}")

    async def change(self) -> Outcome | None:
        """Read everything again and bring HAProxy to it. Returns what came of it, None if it was refused."""
        async with self.changing:
            fresh, self._fresh = self._fresh, False
            reading = await self.look(self.parse(), fresh=fresh)
            if reading.declaration is not None and reading.gathered is not None:
                return await self.bring_to(reading.declaration, reading.gathered)
            self.refuse(reading.problems)
            return None

    async def reload(self) -> Outcome | None:
        """What `kubegate reload` asks for: look at everything afresh, now. Returns as `change`."""
        self._fresh = True
        with self.service.reloading():
            return await self.change()

    def summary(self) -> str:
        """What runs, in a sentence."""
        planned = self.data_plane.plan
        if planned is None:
            return "a configuration that this version of kubegate cannot read"
        count = sum(1 for backend in planned.backends if backend.cluster)
        listeners = ", ".join(str(front.listen) for front in planned.frontends)
        return f"{count} cluster{'s' if count != 1 else ''} at {listeners}, generation {self.data_plane.generation}"

    async def close(self, grace: float = 0) -> None:
        """End, and HAProxy too unless it is to be left running; its streams have `grace` seconds."""
        if hasattr(self, "haproxy"):
            if self.leave:
                self.haproxy.let_go()
            else:
                await self.haproxy.stop(grace)
        if self.leave:
            self.store.let_go()
        else:
            self.store.release()
        self.launch.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Whatever is wrong with this process, HAProxy serves, and the next one takes it over.
        self.leave = self.leave or error is not None
        await self.close()

    async def serve(self, stop: Stop) -> bool:
        """Serve until asked to stop, then let open streams end within the declared bound. True if all ended by themselves."""
        async with control_server.serving(self, self.folders.control_socket), Upkeep(self) as upkeep:
            self.service.ready(self.summary())
            asked = [asyncio.create_task(stop.asked.wait()), asyncio.create_task(stop.leave.wait())]
            try:
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in asked:
                    task.cancel()
            self.service.stopping(_CHANGE_SECONDS if stop.leave.is_set() else self._grace)
            if stop.leave.is_set():
                await self._until_settled()
                return True
            await upkeep.drain()
            return await self._drain(stop)

    async def _until_settled(self) -> None:
        """Let a change come to its end, so that whoever takes over knows what runs."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changing.acquire(), _CHANGE_SECONDS)
        self.leave = True

    @property
    def _grace(self) -> float:
        """How many seconds open streams have at the end."""
        return self.config.data_plane.drain.total_seconds() if self.config else _DRAIN_SECONDS

    async def _drain(self, stop: Stop) -> bool:
        grace = self._grace
        streams = await self.haproxy.open_streams()
        if streams:
            self.news.say(f"stopping: {streams} open, waiting at most {grace:.0f} s for them; a second signal ends them at once")
        return await stop.unless_again(self.haproxy.stop(grace))


def _open_to_others(config: Config) -> list[Problem]:
    found: list[Problem] = []
    for listener in config.listeners:
        clusters = config.reached_at(listener)
        if all(cluster.allow for cluster in clusters):
            continue
        found += listening.open_to_others(listener.address, listening.reachable(listener.address), f"listener {listener.name}")
    return found
