"""`kubegate run`: the gate that a file declares, kept as the file says for as long as it runs.

Whatever happens, the last configuration that worked goes on: what cannot be used is refused as a whole, and told.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kubegate.errors import KubegateError
from kubegate.model.config import Config
from kubegate.model.gatefile import Declaration, read_declaration
from kubegate.model.names import printable
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime import control_server, gate_folders, listening, plan_file
from kubegate.runtime.binary import Binary, find
from kubegate.runtime.dataplane import Bounds, DataPlane
from kubegate.runtime.findings import Findings, with_remedy
from kubegate.runtime.gate_folders import GateFolders, folders_of
from kubegate.runtime.generation import Store
from kubegate.runtime.holes import warnings_about
from kubegate.runtime.inputs import Gathered, Inputs
from kubegate.runtime.news import News
from kubegate.runtime.process import HAProxy, Say
from kubegate.runtime.signals import Stop
from kubegate.runtime.watching import Files
from kubegate.system.files import explained, private_folder, reason
from kubegate.system.notify import notify
from kubegate.system.processes import ProcessId

_QUIET_SECONDS = 0.1
_LONGEST_QUIET_SECONDS = 1.0
_RESOLVE_SECONDS = 30.0
_DISCOVER_SECONDS = 5.0
_COLLECT_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 3600.0


def read_file(file: Path) -> Declaration:
    """The declaration in a file. Raises InvalidInput."""
    shown = printable(str(file))
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInput([Problem(shown, "file.unreadable", f"it cannot be read: {reason(error)}", "check the path")]) from None
    return read_declaration(content, shown, file.absolute().parent)


class Gate:
    """A gate that runs. `open` it, `serve` until asked to stop; at the end of `async with` it is gone, or left running."""

    def __init__(self, file: Path, environ: Mapping[str, str], folders: GateFolders, store: Store, say: Say) -> None:
        self.file = file
        self.news = News(say)
        self.refused: tuple[Problem, ...] = ()
        self.warnings: tuple[Problem, ...] = ()
        self.config: Config | None = None
        self.from_last_good = False
        self.started = self.since = datetime.now(UTC)
        self.reloads = self.live_changes = self.streams_ended = 0
        self._environ = environ
        self._folders = folders
        self._store = store
        self._inputs = Inputs(environ)
        self._files = Files()
        self._dirty = asyncio.Event()
        self._fresh = False
        self._changing = asyncio.Lock()
        self._log: int | None = None
        self._leave = False

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
            await gate._open()
        except BaseException:
            if not gate._leave and hasattr(gate, "data_plane"):
                await gate._haproxy.stop(0)
            store.release()
            raise
        return gate

    async def _open(self) -> None:
        declaration, gathered, problems = await self._read(fresh=True)
        config = declaration.config if declaration else None
        self._binary = find(config.data_plane.haproxy if config else None)
        self._haproxy = HAProxy(self._binary, self._store, self.news.haproxy, lambda: self._log)
        self.data_plane = DataPlane(self._binary, self._store, self._haproxy, self.news.say)
        if left := self._store.take_over():
            await self._take_over(left, declaration, gathered, problems)
        elif declaration is not None and gathered is not None:
            await self._start(declaration, gathered)
        else:
            await self._start_last(problems)
        gate_folders.remember(self._folders, self.file)
        self._follow(gathered)

    async def _read(self, *, fresh: bool) -> tuple[Declaration | None, Gathered | None, tuple[Problem, ...]]:
        try:
            declaration = read_file(self.file)
            gathered = await self._inputs.gather(declaration, fresh=fresh)
        except InvalidInput as error:
            return None, None, tuple(with_remedy(problem) for problem in error.problems)
        return declaration, gathered, ()

    async def _start(self, declaration: Declaration, gathered: Gathered) -> None:
        config = declaration.config
        self._check_addresses(declaration)
        self._open_log(config)
        self._store.clear()
        self._settled(config, gathered)
        await self.data_plane.start(plan(config, gathered.facts))

    def _check_addresses(self, declaration: Declaration) -> None:
        findings = Findings([])
        for number, listener in enumerate(declaration.config.listeners):
            where = declaration.places.at("listeners", number, "address")
            findings.problems += listening.address_problems(where, listener.address)
        if declaration.config.metrics is not None:
            findings.problems += listening.address_problems(
                declaration.places.at("metrics", "address"), declaration.config.metrics.address
            )
        findings.raise_if_any()

    async def _start_last(self, problems: tuple[Problem, ...]) -> None:
        folder = self._store.running()
        if folder is None:
            raise InvalidInput(problems)
        before, _ = plan_file.load(folder)
        if before is None:
            raise InvalidInput(problems)
        self._store.clear()
        await self.data_plane.start_last(folder, before)
        self.from_last_good = True
        self._refuse(problems)
        self.news.say(
            f"started from the last good configuration (generation {self.data_plane.generation}), for {self.file} cannot be used"
        )

    async def _take_over(
        self, left: ProcessId, declaration: Declaration | None, gathered: Gathered | None, problems: tuple[Problem, ...]
    ) -> None:
        """Supervise what runs, and bring it to what is declared now."""
        # From here on a failure leaves HAProxy running: it serves.
        self._leave = True
        folder = self._store.running()
        before, why = plan_file.load(folder) if folder else (None, f"{self._store.generations} has no generation")
        self._haproxy.adopt(left)
        if before is None or folder is None:
            if declaration is None or gathered is None:
                raise InvalidInput(problems)
            self.news.say(f"taking over HAProxy {left.pid}; it is reloaded, because {why}")
            before, known = plan(declaration.config, gathered.facts), False
            self.data_plane.forget(before)
        else:
            known = self.data_plane.adopt(folder, before)
            ran = f"generation {self.data_plane.generation}"
            self.news.say(f"taking over HAProxy {left.pid}, which an earlier kubegate left running ({ran})")
        if declaration is None or gathered is None:
            self._refuse(problems)
        else:
            self._open_log(declaration.config)
            await self._apply(declaration.config, gathered, force=not known)
        self._leave = False

    def _open_log(self, config: Config) -> None:
        if config.access_log is None or self._log is not None:
            return
        with explained(
            f"the access log {config.access_log} cannot be opened", "check the path, and that this user may write there"
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._log = os.open(config.access_log, flags, 0o600)

    def _follow(self, gathered: Gathered | None) -> None:
        if gathered is not None:
            self._files.follow({self.file, *gathered.files})
        elif not self._files.follows(self.file):
            self._files.follow({self.file})

    def _settled(self, config: Config, gathered: Gathered) -> None:
        self.config = config
        self.warnings = (*gathered.warnings, *_open_to_others(config), *warnings_about(self._binary))
        self.refused = ()
        self.from_last_good = False
        self.data_plane.bounds = Bounds(config.data_plane.max_old_workers, config.data_plane.old_worker_wait.total_seconds())

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        if problems != self.refused:
            self.news.refused(problems)
        self.refused = problems

    async def _apply(self, config: Config, gathered: Gathered, *, force: bool = False) -> None:
        """Bring HAProxy to what is declared. What HAProxy or the disk refuses is told, and what ran goes on."""

        def planned(running: Plan | None) -> Plan:
            return plan(config, gathered.facts, running)

        try:
            outcome = await self.data_plane.apply(planned, force_reload=force)
        except (KubegateError, OSError, TimeoutError) as error:
            message = (
                error.message if isinstance(error, KubegateError) else f"HAProxy does not answer: {error or type(error).__name__}"
            )
            hint = error.hint if isinstance(error, KubegateError) else ""
            self._refuse((Problem(printable(str(self.file)), "gate.refused", message, hint),))
            return
        self._settled(config, gathered)
        if outcome.reloaded or outcome.changes:
            self.since = datetime.now(UTC)
            self.reloads += outcome.reloaded
            self.live_changes += not outcome.reloaded
            self.streams_ended += outcome.ended
            self.news.changed(outcome, self.data_plane.generation)

    async def change(self) -> None:
        """Read everything again and bring HAProxy to it."""
        async with self._changing:
            fresh, self._fresh = self._fresh, False
            declaration, gathered, problems = await self._read(fresh=fresh)
            self._follow(gathered)
            if declaration is None or gathered is None:
                self._refuse(problems)
            else:
                await self._apply(declaration.config, gathered)

    async def reload(self) -> None:
        """What `kubegate reload` asks for: look at everything afresh, now."""
        self._fresh = True
        await self.change()

    def summary(self) -> str:
        """What runs, in a sentence."""
        planned = self.data_plane.plan
        clusters = [backend.cluster for backend in planned.backends if backend.cluster] if planned else []
        listeners = ", ".join(str(front.listen) for front in planned.frontends) if planned else ""
        return (
            f"{len(clusters)} cluster{'s' if len(clusters) != 1 else ''} at {listeners}, generation {self.data_plane.generation}"
        )

    @property
    def binary(self) -> Binary:
        """The HAProxy that was chosen."""
        return self._binary

    @property
    def haproxy_pid(self) -> int | None:
        """The pid of HAProxy's master process, None if none runs."""
        return self._haproxy.pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._leave:
            self._haproxy.let_go()
        else:
            await self._haproxy.stop(0)
        self._store.release()
        if self._log is not None:
            os.close(self._log)

    async def serve(self, stop: Stop) -> bool:
        """Serve until asked to stop, then let open streams end within the declared bound. True if all ended by themselves."""
        work: list[Awaitable[None]] = [
            self._haproxy.keep_running(),
            self._files.run(),
            self._keep_changing(),
            self._mark_when_changed(),
            self._every(_RESOLVE_SECONDS, self._resolve),
            self._every(_DISCOVER_SECONDS, self._discover),
            self._every(_COLLECT_SECONDS, self._collect),
            self._every(_HOUSEKEEPING_SECONDS, self._housekeep),
        ]
        async with control_server.serving(self, self._folders.control_socket):
            notify(f"READY=1\nSTATUS={len(self.config.clusters) if self.config else 0} clusters", self._environ)
            tasks = [asyncio.ensure_future(one) for one in work]
            asked = [asyncio.create_task(stop.asked.wait()), asyncio.create_task(stop.leave.wait())]
            try:
                done, _ = await asyncio.wait([*tasks, *asked], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if stop.leave.is_set():
                    self._leave = True
                    return True
                notify("STOPPING=1", self._environ)
                await self._cancel(tasks[1:])
                return await self._drain(stop)
            finally:
                await self._cancel([*tasks, *asked])

    async def _cancel(self, tasks: Sequence[asyncio.Future[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, stop: Stop) -> bool:
        grace = self.config.data_plane.drain.total_seconds() if self.config else 30.0
        streams = await self._haproxy.open_streams()
        if streams:
            self.news.say(f"stopping: {streams} open, waiting at most {grace:.0f} s for them; a second signal ends them at once")
        return await stop.unless_again(self._haproxy.stop(grace))

    async def _keep_changing(self) -> None:
        while True:
            await self._dirty.wait()
            deadline = time.monotonic() + _LONGEST_QUIET_SECONDS
            # A burst of events is one change; but a file that is written all the time must not put it off for ever.
            while self._dirty.is_set() and time.monotonic() < deadline:
                self._dirty.clear()
                await asyncio.sleep(_QUIET_SECONDS)
            self._dirty.clear()
            await self.change()

    async def _mark_when_changed(self) -> None:
        while True:
            await self._files.changed.wait()
            self._files.changed.clear()
            self._dirty.set()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await work()

    async def _resolve(self) -> None:
        async with self._changing:
            changed = await self._inputs.refresh(discovered=False)
        if changed:
            self._dirty.set()

    async def _discover(self) -> None:
        if not self._inputs.discovers():
            return
        async with self._changing:
            changed = await self._inputs.refresh(discovered=True)
        if changed:
            self._dirty.set()

    async def _collect(self) -> None:
        if self._changing.locked():
            return
        with contextlib.suppress(OSError, TimeoutError):
            await self.data_plane.retirement.collect()

    async def _housekeep(self) -> None:
        self._dirty.set()


def _open_to_others(config: Config) -> list[Problem]:
    found: list[Problem] = []
    for listener in config.listeners:
        clusters = config.reached_at(listener)
        if all(cluster.allow for cluster in clusters):
            continue
        found += listening.open_to_others(listener.address, listening.reachable(listener.address), f"listener {listener.name}")
    return found
