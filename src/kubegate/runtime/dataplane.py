"""The data plane: one HAProxy and the plan that it runs. Brings it to another plan, by the Runtime API where that is enough."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.model.difference import differences
from kubegate.model.meanwhile import meanwhile
from kubegate.model.plan import Plan
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import Shape, shape
from kubegate.render.haproxy.live import Change, Command, change
from kubegate.runtime import plan_file
from kubegate.runtime.binary import Binary
from kubegate.runtime.generation import Generation, Store, check
from kubegate.runtime.narrower import Narrower
from kubegate.runtime.old_workers import OldWorkers
from kubegate.runtime.process import HAProxy, Say
from kubegate.runtime.retirement import Retirement
from kubegate.runtime.started import gone
from kubegate.runtime.worker_plans import WorkerPlans
from kubegate.runtime.workers import Failed, ReloadRefused, Worker, Workers
from kubegate.system.files import FileTrouble

_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 5.0
_MOST_CHECKED = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change: whether HAProxy was reloaded, sentences that say what is different, how many streams ended.

    `waiting` says that a reload is needed, too, and waits for old workers to end.
    """

    reloaded: bool
    changes: tuple[str, ...] = ()
    ended: int = 0
    warnings: tuple[str, ...] = ()
    waiting: bool = False


class DataPlane:
    """Owns HAProxy, its generations and its sockets. `plan` is what it runs, None before the start, or if nobody knows.

    Not `certain` is what runs when a change broke off in the middle: the next one is a reload, whatever it is about.
    """

    def __init__(self, binary: Binary, store: Store, haproxy: HAProxy, say: Say) -> None:
        self._binary = binary
        self._store = store
        self._haproxy = haproxy
        self._say = say
        self._sockets = store.sockets
        self._shape: Shape | None = None
        self._generation: Generation | None = None
        self.plan: Plan | None = None
        self.generation = 0
        self.certain = True
        self.unsettled = asyncio.Event()
        self.workers = Workers(store.master_socket, lambda: store.admin_socket)
        self.old_workers = OldWorkers(self.workers, haproxy)
        self.plans = WorkerPlans(store)
        self.narrower = Narrower(self.workers, self.plans, haproxy, say)
        self.retirement = Retirement(self.workers, say)
        self._changing = asyncio.Lock()
        self._starts = 0
        self._secured: Generation | None = None
        self._securing: asyncio.Task[None] | None = None

    @property
    def drawn(self) -> Shape | None:
        """What runs, as it was rendered; None where `plan` is."""
        return self._shape

    async def start(self, plan: Plan) -> None:
        """Start HAProxy with a plan. Raises FileTrouble or StartFailed; then nothing runs and nothing was switched."""
        before = self._store.running()
        drawn = shape(plan, self._sockets)
        # Where nothing runs that has to go on, the start itself is the check: of many clusters each takes seconds.
        generation = self._store.accept(self._bundle(plan, drawn), None)
        self._store.switch(generation)
        try:
            await self._haproxy.start()
        except BaseException:
            if before is not None:
                self._store.switch(Generation(before, ""))
            self._store.discard(generation)
            raise
        self._settle(plan, drawn, generation)
        await self._know_workers(generation)
        self._done()

    async def start_as_it_was(self, folder: Path) -> str:
        """Start HAProxy with a generation that ran before. Returns why it cannot be read, empty if it can. Raises as `start`."""
        plan, why = plan_file.load(folder)
        if folder != self._store.running():
            self._store.switch(Generation(folder, ""))
        if plan is None:
            await self._haproxy.start()
            self.certain = False
        elif self._remember(folder, plan):
            await self._haproxy.start()
            await self._know_workers(Generation(folder, ""))
        else:
            # Another version of kubegate wrote it, or for other folders.
            await self.start(plan)
        return why

    async def take_over(self) -> str:
        """Find out what a HAProxy runs that an earlier kubegate left. Returns why only a reload would tell, empty if known."""
        try:
            workers = await self._answering()
        except (OSError, TimeoutError):
            workers = []
        running = self._store.running()
        self.plans.load(workers, running)
        exact = next((self.plans.exactly(worker.pid) for worker in workers if worker.current), None)
        folder = exact or running
        plan, why = plan_file.load(folder) if folder else (None, f"{self._store.generations} has no generation")
        self.certain = False
        if plan is None or folder is None:
            return why
        if folder != running:
            self._store.switch(Generation(folder, ""))
        same = self._remember(folder, plan)
        if not workers:
            return "it does not answer"
        if exact is None:
            return "its last change had not come to its end"
        if not same:
            return "it runs what another version of kubegate wrote"
        with contextlib.suppress(OSError, TimeoutError):
            await self.retirement.find(plan, shape(plan, self._sockets))
        self.certain = True
        self._done()
        return ""

    async def _answering(self) -> list[Worker]:
        """The workers, once the master answers: while it reloads it does not. Raises OSError or TimeoutError."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                if workers := await self.workers.all():
                    return workers
            if time.monotonic() > deadline:
                return await self.workers.all()
            await asyncio.sleep(_POLL_SECONDS)

    def _remember(self, folder: Path, plan: Plan) -> bool:
        """Take the files in a folder for what runs. False if they are not what this plan is rendered to now."""
        drawn = shape(plan, self._sockets)
        bundle = self._bundle(plan, drawn)
        self._settle(plan, drawn, Generation(folder, bundle.digest, bundle.files))
        self._publish()
        return _holds(folder, bundle)

    async def keep_running(self) -> None:
        """Bring HAProxy back whenever it ends, with everything that was changed while it ran."""
        await self._haproxy.keep_running(self._mend_files, self._is_back)

    def _mend_files(self) -> None:
        """See that the files of what ran are there, for HAProxy is about to read them."""
        generation = self._generation
        if generation is None or self._changing.locked():
            return
        if self._store.running() == generation.folder and _holds(generation.folder, Bundle(generation.files)):
            return
        try:
            self._generation = self._store.accept(Bundle(generation.files), None)
            self._store.switch(self._generation)
        except KubegateError as error:
            self._say(f"the files of what ran are damaged, and cannot be written again: {error.message}")

    async def _is_back(self) -> None:
        """HAProxy was started anew, and runs what `current` names."""
        self._starts += 1
        if self._changing.locked() or self._generation is None or self._store.running() != self._generation.folder:
            # It died in the middle of a change: whether it has read the old files or the new ones nobody saw.
            self.certain = False
            self.unsettled.set()
            return
        self.retirement.forget()
        self.certain = True
        await self._know_workers(self._generation)

    async def apply(self, planned: Callable[[Plan | None], Plan]) -> Outcome:
        """Bring HAProxy to the plan that `planned` makes, given the running one, or None where every place is to be fresh.

        Raises Refused, FileTrouble or ReloadRefused; then what ran before still does.
        """
        async with self._changing:
            starts = self._starts
            try:
                return await self._apply(planned)
            finally:
                self.certain = self.certain and self._starts == starts

    async def _apply(self, planned: Callable[[Plan | None], Plan]) -> Outcome:
        before, drawn, good = self.plan, self._shape, self._generation
        if before is None or drawn is None or good is None:
            if await self.old_workers.must_wait():
                return Outcome(reloaded=False, waiting=True)
            return await self._reload(None, planned(None), self._store.running())
        wanted = planned(before)
        target = shape(wanted, self._sockets)
        live = change(drawn, target, self.retirement.leaving)
        if live is not None and self.certain:
            self.old_workers.wait_no_more()
            if live.is_empty:
                self.plan = wanted
                return Outcome(reloaded=False)
            try:
                return await self._change_live(before, wanted, target, live)
            except Failed as error:
                self._say(f"{error.message}; reloading instead")
                self._go_back(before, drawn, good)
        if await self.old_workers.must_wait():
            return await self._meanwhile(before, drawn, good, wanted)
        return await self._reload(before, planned(None), good.folder)

    def _go_back(self, plan: Plan, drawn: Shape, good: Generation) -> None:
        """After a change that broke off: a new start of HAProxy is to find what ran before."""
        self._store.switch(good)
        self._settle(plan, drawn, good)

    async def _meanwhile(self, before: Plan, drawn: Shape, good: Generation, wanted: Plan) -> Outcome:
        """While a reload waits, what needs none does not. Where nobody is certain of what runs, all of it waits."""
        waiting = Outcome(reloaded=False, waiting=True)
        part = meanwhile(before, wanted)
        target = shape(part, self._sockets)
        live = change(drawn, target, self.retirement.leaving)
        if not self.certain or live is None or live.is_empty:
            return waiting
        try:
            return replace(await self._change_live(before, part, target, live), waiting=True)
        except Failed as error:
            self._say(f"{error.message}; the reload that waits will do it")
            self._go_back(before, drawn, good)
            return waiting

    async def _change_live(self, before: Plan, wanted: Plan, target: Shape, live: Change) -> Outcome:
        # The files first: a reload or a new start of HAProxy forgets what only the Runtime API was told.
        generation = self._store.accept(self._bundle(wanted, target), None, like=self._generation)
        self.plans.begin(generation.folder)
        self._store.switch(generation)
        self.certain = False
        await self.workers.run(live.additions)
        await self.workers.run(live.leads)
        self._settle(wanted, target, generation)
        await self.workers.run(live.removals)
        await self.retirement.add(live)
        ended = await self.narrower.narrow(before, wanted)
        await self._know_workers(generation)
        self.certain = True
        self._done()
        return Outcome(reloaded=False, changes=differences(before, wanted), ended=ended)

    async def _reload(self, before: Plan | None, wanted: Plan, good: Path | None) -> Outcome:
        target = shape(wanted, self._sockets)
        generation = self._store.accept(self._bundle(wanted, target), None, like=self._generation)
        try:
            # Where HAProxy reads for seconds, it does so once: it refuses a reload, too, and goes on with what it has.
            if len(wanted.backends) <= _MOST_CHECKED:
                await asyncio.to_thread(check, generation.folder, self._binary)
        except BaseException:
            self._store.discard(generation)
            raise
        if (program := gone(self._haproxy.pid)) is not None:
            self._store.discard(generation)
            raise ReloadRefused(f"HAProxy cannot be reloaded: its program {program} is gone", "put it back, or restart the gate")
        warnings = await self.old_workers.make_room()
        self._store.switch(generation)
        try:
            await self.workers.reload()
        except (ReloadRefused, OSError, TimeoutError) as error:
            self.certain = self.certain and isinstance(error, ReloadRefused)
            if good is not None:
                self._store.switch(Generation(good, ""))
            message = error.message if isinstance(error, KubegateError) else "HAProxy's master process does not answer"
            raise ReloadRefused(message) from None
        self.retirement.forget()
        self._settle(wanted, target, generation)
        self.certain = True
        self.old_workers.wait_no_more()
        ended = await self.narrower.narrow(before, wanted)
        await self._know_workers(generation)
        self._done()
        said = differences(before, wanted) if before is not None else ()
        return Outcome(reloaded=True, changes=said, ended=ended, warnings=warnings)

    def _bundle(self, plan: Plan, drawn: Shape) -> Bundle:
        return Bundle({**drawn.bundle().files, plan_file.PLAN_FILE: plan_file.dump(plan)})

    def _settle(self, plan: Plan, drawn: Shape, generation: Generation) -> None:
        self.plan, self._shape, self._generation = plan, drawn, generation

    def _publish(self) -> None:
        """Say which generation runs, once all of it does."""
        if self._generation is not None:
            self.generation = int(self._generation.folder.name.partition("-")[2] or 0)

    async def _know_workers(self, generation: Generation) -> None:
        """Remember which plan the current worker runs, for it may live long after a reload."""
        with contextlib.suppress(OSError, TimeoutError, FileTrouble):
            self.plans.note(await self.workers.all(), generation.folder, self.plan)

    def _done(self) -> None:
        """After a change: what runs now is what a start may fall back to."""
        self._publish()
        if self._securing is None or self._securing.done():
            self._securing = asyncio.create_task(self._secure(), name="writing to the disk")

    async def _secure(self) -> None:
        while (generation := self._generation) is not None and generation is not self._secured:
            try:
                await asyncio.to_thread(self._store.secure, generation)
            except FileTrouble as error:
                # If it is not the newest any more, it may be gone.
                if generation is self._generation:
                    self._say(f"what runs now would not survive a power cut: {error.message}")
                    return
            else:
                self._secured = generation

    async def collect(self) -> int:
        """Unless a change is being made: let go what nobody needs any more, and tell workers what they missed.

        Returns how many streams were ended. Raises OSError or TimeoutError.
        """
        if self._changing.locked():
            return 0
        async with self._changing:
            await self.retirement.collect()
            ended = await self.narrower.catch_up(self.plan)
            if self.plans.several:
                with contextlib.suppress(FileTrouble):
                    self.plans.keep(await self.workers.all())
            self._store.prune(self.plans.folders())
            return ended

    async def tell(self, text: str) -> str:
        """One question to the current worker's Runtime API. Raises OSError or TimeoutError."""
        return await self.workers.tell(Command(text))


def _holds(folder: Path, bundle: Bundle) -> bool:
    """Whether a folder has these files; how the plan is written down does not matter."""
    try:
        found = {name: (folder / name).read_bytes() for name in bundle.files}
        return all(found[name] == content for name, content in bundle.files.items() if name != plan_file.PLAN_FILE)
    except OSError:
        return False
