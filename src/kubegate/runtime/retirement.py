"""Servers that were removed: they take nothing new, carry what they have to its end, and are deleted then."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from kubegate.model.plan import Plan
from kubegate.render.haproxy import Shape
from kubegate.render.haproxy.backend import names as sections_of
from kubegate.render.haproxy.backend import server_address
from kubegate.render.haproxy.live import Change, Command, forgotten
from kubegate.runtime.process import Say
from kubegate.runtime.workers import Failed, Workers

_ALIVE_SECONDS = 6.0
_POLL_SECONDS = 0.1
_HEADER_FIELDS = ("bkname/svname", "used_cur")


class Retirement:
    """The servers of the current worker that are on their way out."""

    def __init__(self, workers: Workers, say: Say) -> None:
        self._workers = workers
        self._say = say
        self._leaving: dict[tuple[str, str], None] = {}
        self._forgotten: list[Command] = []

    @property
    def leaving(self) -> tuple[tuple[str, str], ...]:
        """Pairs of section and server name that still carry something."""
        return tuple(self._leaving)

    async def find(self, plan: Plan, shape: Shape) -> None:
        """Those that an earlier kubegate let go, and CA bundles that nothing needs any more. Raises OSError or TimeoutError."""
        sections = {section for backend in plan.backends for section in sections_of(backend)}
        for full in await self._used():
            section, _, name = full.rpartition("/")
            if section in sections and name not in shape.servers.get(section, {}):
                await self._workers.tell(Command(f"set server {full} state drain"))
                self._leaving[section, name] = None
        answer = await self._workers.tell(Command("show ssl ca-file"))
        known = (line.split(" ")[0] for line in answer.splitlines() if line.startswith("ca-"))
        self._forgotten = [forgotten(file) for file in known if file not in shape.authorities]

    def forget(self) -> None:
        """A reload came: the new worker has none of them."""
        self._leaving.clear()
        self._forgotten.clear()

    async def add(self, change: Change) -> None:
        """Let the servers go that a change retires; where others take their place, one of those must be found alive first."""
        if not change.retired:
            return
        waiting = {section: names for section, names in change.arrived.items() if section in change.retired}
        await self._until_alive(waiting)
        for section, names in change.retired.items():
            for name in names:
                await self._workers.run([Command(f"set server {section}/{name} state drain")])
                self._leaving[section, name] = None
        self._forgotten += change.forgotten

    async def collect(self) -> None:
        """Delete those that carry nothing any more."""
        if not self._leaving and not self._forgotten:
            return
        used = await self._used()
        # Servers of streams track those of their cluster, which cannot go before them.
        for section, name in sorted(self._leaving, key=lambda one: not one[0].endswith(":stream")):
            if used.get(f"{section}/{name}", 0) == 0:
                await self._delete(section, name)
        if not self._leaving:
            for command in self._forgotten:
                # Another server may have come to need it.
                await self._workers.tell(command)
            self._forgotten.clear()

    async def _delete(self, section: str, name: str) -> None:
        with contextlib.suppress(Failed):
            await self._workers.run([Command(f"set server {section}/{name} state maint")])
            await self._workers.run([Command(f"del server {section}/{name}", answers="Server deleted")])
            del self._leaving[section, name]

    async def _used(self) -> Mapping[str, int]:
        """How many requests and streams each server carries."""
        answer = await self._workers.tell(Command("show servers conn"))
        lines = [line.removeprefix("# ").split() for line in answer.splitlines()]
        if not lines:
            return {}
        name, count = (lines[0].index(column) for column in _HEADER_FIELDS)
        return {line[name]: int(line[count]) for line in lines[1:] if len(line) > count and line[count].isdigit()}

    async def _until_alive(self, waiting: Mapping[str, tuple[str, ...]]) -> None:
        deadline = time.monotonic() + _ALIVE_SECONDS
        pending = {section: names for section, names in waiting.items() if not section.endswith(":stream")}
        while pending and time.monotonic() < deadline:
            passed = await self._passed()
            pending = {s: names for s, names in pending.items() if not any(f"{s}/{name}" in passed for name in names)}
            if pending:
                await asyncio.sleep(_POLL_SECONDS)
        for section, names in pending.items():
            shown = ", ".join(server_address(name) for name in names)
            self._say(f"{section}: the new servers ({shown}) have not answered a health check yet; the old ones go all the same")

    async def _passed(self) -> set[str]:
        """Servers whose last health check succeeded."""
        answer = await self._workers.tell(Command("show stat -1 4 -1"))
        header, *rows = answer.removeprefix("# ").splitlines() or [""]
        columns = header.split(",")
        at = {name: columns.index(name) for name in ("pxname", "svname", "check_status")}
        found = (row.split(",") for row in rows if row)
        return {
            f"{row[at['pxname']]}/{row[at['svname']]}"
            for row in found
            if row[at["check_status"]].removeprefix("* ").startswith("L7OK")
        }
