"""The data plane of the local proxy: one HAProxy that ends with this process, and whose secrets are in memory only."""

import asyncio
import contextlib
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.model.proxy_plan import ProxyPlan
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy.live import Change, Command, Rewrite, Step, change, drained
from kubegate.render.haproxy.local import shape
from kubegate.render.haproxy.local.backend import CREDENTIALS_FILE
from kubegate.render.haproxy.local.filters import VERDICTS_FILE
from kubegate.render.haproxy.shape import Shape
from kubegate.runtime.binary import Binary
from kubegate.runtime.generation import Generation, Store
from kubegate.runtime.process import HAProxy, Heirloom, Say
from kubegate.runtime.retirement import Retirement
from kubegate.runtime.workers import Failed, ReloadRefused, Workers
from kubegate.system.files import explained
from kubegate.system.listeners import Listening
from kubegate.system.memory_files import MemoryFiles

_DRAIN_PAUSE_SECONDS = 0.05
# Clients of the proxy, and not the sockets of HAProxy itself (`show sess`).
_STREAMS = re.compile(r" fe=(?!GLOBAL|MASTER)\S")


class LocalPlane:
    """Owns HAProxy, the folder of its files, and the memory that holds its secrets.

    `begun_anew` is called when a worker came that has forgotten what it was told to `remember`.
    """

    def __init__(self, binary: Binary, store: Store, listening: Sequence[Listening], say: Say, log: int | None = None) -> None:
        self._store = store
        self._listening = listening
        self._say = say
        self._memory = MemoryFiles()
        self._drawn: Shape | None = None
        self._changing = asyncio.Lock()
        self._unneeded: set[str] = set()
        self.begun_anew: Callable[[], None] = lambda: None
        heirloom = Heirloom(tuple(one.descriptor for one in listening), _STREAMS)
        self.haproxy = HAProxy(binary, store, say, lambda: log, heirloom=heirloom)
        self.workers = Workers(store.master_socket, lambda: store.admin_socket)
        self._retirement = Retirement(self.workers, say)

    async def start(self, plan: ProxyPlan) -> None:
        """Start HAProxy with a plan. Raises FileTrouble or StartFailed."""
        async with self._changing:
            drawn = shape(plan, self._store.sockets)
            self._store.switch(self._write(drawn))
            await self.haproxy.start()
            self._drawn = drawn

    async def keep_running(self) -> None:
        """Bring HAProxy back whenever it ends."""

        async def is_back() -> None:
            self._begun_anew()

        await self.haproxy.keep_running(is_back=is_back)

    def _begun_anew(self) -> None:
        """A worker came that knows only what stands in files."""
        self._retirement.forget()
        self._unneeded.clear()
        self.begun_anew()

    async def apply(self, plan: ProxyPlan) -> bool:
        """Bring HAProxy to a plan. True if that took a reload. Raises FileTrouble or ReloadRefused; then what ran goes on."""
        async with self._changing:
            drawn = self._drawn
            assert drawn is not None, "start() comes first"
            target = shape(plan, self._store.sockets)
            live = change(drawn, target, self._retirement.leaving)
            if live is not None and live.is_empty:
                return False
            before = self._store.running()
            # The files first: a reload or a new start of HAProxy forgets what only the Runtime API was told.
            self._store.switch(self._write(target))
            reloaded = live is None or not await self._change(live)
            if reloaded:
                await self._reload(before)
            self._drawn = target
            self._unneeded |= drawn.pairs.keys() - target.pairs.keys()
            self._forget()
            return reloaded

    async def _change(self, live: Change) -> bool:
        """Do what the Runtime API can. False if it did not do it."""
        try:
            await self.workers.run((*live.additions, *live.leads, *live.removals))
            # No server is checked here, so no new one is waited for: the old ones take nothing more from now on.
            await self._retirement.add(replace(live, arrived={}))
        except (Failed, OSError, TimeoutError) as error:
            self._say(f"a change is made by a reload, for the Runtime API did not make it: {error}")
            return False
        await self._change_old(live)
        return True

    async def _change_old(self, live: Change) -> None:
        """The same in workers of earlier configurations, as far as they know what it is about."""
        steps = [*live.additions, *live.leads, *live.removals]
        steps += [drained(section, name) for section, names in live.retired.items() for name in names]
        with contextlib.suppress(OSError, TimeoutError):
            for worker in await self.workers.old():
                for step in steps:
                    with contextlib.suppress(Failed):
                        await self.workers.run([step], worker)

    async def _reload(self, before: Path | None) -> None:
        try:
            await self.workers.reload()
        except (ReloadRefused, OSError, TimeoutError) as error:
            if before is not None:
                self._store.switch(Generation(before, ""))
            raise ReloadRefused(error.message if isinstance(error, KubegateError) else "HAProxy does not answer") from None
        self._begun_anew()

    async def requests(self) -> Mapping[str, int]:
        """How many requests the current worker has had for each context, by keys. Raises OSError or TimeoutError."""
        answer = await self.workers.tell(Command("show stat -1 2 -1"))
        found: dict[str, int] = {}
        for row in csv.DictReader(io.StringIO(answer.removeprefix("# "))):
            key = row["pxname"].partition(":")[0]
            found[key] = found.get(key, 0) + int(row["stot"] or 0)
        return found

    async def remember(self, key: str, value: str) -> None:
        """Put a verdict into the map of the current worker. Raises OSError or TimeoutError."""
        # As a payload, for a semicolon in a command would begin another one.
        await self._told(Command(f"add map {VERDICTS_FILE}", f"{key} {value}\n".encode()))

    async def forget(self) -> None:
        """Empty that map. Raises OSError or TimeoutError."""
        await self._told(Rewrite("map", VERDICTS_FILE, ()))

    async def _told(self, step: Step) -> None:
        try:
            await self.workers.run([step])
        except Failed as error:
            raise OSError(error.message) from None

    def _write(self, drawn: Shape) -> Generation:
        """A generation's folder; what is secret in it is a link into this process's memory. Raises FileTrouble."""
        secret = {CREDENTIALS_FILE, *drawn.certificates, *drawn.pairs}
        files = drawn.bundle().files
        generation = self._store.accept(Bundle({name: content for name, content in files.items() if name not in secret}), None)
        with explained(f"the folder {generation.folder} cannot be written to"):
            for name in secret & files.keys():
                (generation.folder / name).symlink_to(self._memory.put(files[name]))
        return generation

    def _forget(self) -> None:
        """Let go of files and secrets that nothing reads any more."""
        self._store.prune(())
        assert self._drawn is not None
        self._memory.keep({*self._drawn.bundle().files.values()})

    async def collect(self) -> None:
        """Delete servers whose last stream has ended, and their certificates. Raises OSError or TimeoutError."""
        async with self._changing:
            await self._retirement.collect()
            if self._retirement.leaving:
                return
            for file in tuple(self._unneeded):
                if "deleted" in await self.workers.tell(Command(f"del ssl cert {file}")):
                    self._unneeded.discard(file)

    async def stop(self, grace: float) -> bool:
        """Take nothing new, give streams `grace` seconds, and end the rest. True if all ended by themselves."""
        stopping = asyncio.create_task(self.haproxy.stop(grace))
        try:
            # HAProxy first, for it would take a socket that others have shut for one that broke.
            await asyncio.wait({stopping}, timeout=_DRAIN_PAUSE_SECONDS)
            for one in self._listening:
                one.refuse()
            return await stopping
        finally:
            if not stopping.done():
                stopping.cancel()
                await asyncio.wait({stopping})

    def close(self) -> None:
        """Let go of everything; HAProxy has ended."""
        for one in self._listening:
            one.close()
        self._memory.close()
        self._store.release()
