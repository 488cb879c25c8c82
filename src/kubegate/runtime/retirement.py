"""Servers that were removed: they take nothing new, carry what they have to its end, and are deleted then."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kubegate.render.haproxy.backend import server_address
from kubegate.render.haproxy.live import Change, Command
from kubegate.render.haproxy.shape import Shape
from kubegate.runtime.process import Say
from kubegate.runtime.workers import Failed, Workers

_ALIVE_SECONDS = 6.0
_ALIVE_AT_ONCE_SECONDS = 1.0
_POLL_SECONDS = 0.05
_HEADER_FIELDS = ("bkname/svname", "used_cur")


@dataclass(frozen=True, slots=True)
class _Successors:
    """Servers of a section, one of which is to be found alive before the old ones go; and until when that is waited for."""

    names: tuple[str, ...]
    deadline: float


class Retirement:
    """The servers of the current worker that are on their way out."""

    def __init__(self, workers: Workers, say: Say) -> None:
        self._workers = workers
        self._say = say
        self._leaving: dict[tuple[str, str], None] = {}
        self._awaited: dict[str, _Successors] = {}

    @property
    def leaving(self) -> Collection[tuple[str, str]]:
        """Pairs of section and server name."""
        return tuple(self._leaving)

    def forget(self) -> None:
        """Another worker came: it has none of them."""
        self._leaving.clear()
        self._awaited.clear()

    async def adopt(self, shape: Shape) -> None:
        """Find the servers that an earlier kubegate retired: those that HAProxy has and the running shape has not."""
        known = {(section, name) for section, servers in shape.servers.items() for name in servers}
        sections = {section.backend for section in shape.sections if section.backend is not None}
        for path in await self._used():
            section, _, name = path.partition("/")
            if section in sections and (section, name) not in known:
                self._leaving[section, name] = None
        await self._drain(self._leaving)

    async def add(self, change: Change) -> None:
        """Let the servers go that a change retires, at once where none takes their place or one of those is found alive soon."""
        for section, names in change.arrived.items():
            for name in names:
                self._leaving.pop((section, name), None)
        for section, names in change.retired.items():
            self._leaving.update(dict.fromkeys((section, name) for name in names))
            if section in change.arrived:
                self._awaited[section] = _Successors(change.arrived[section], time.monotonic() + _ALIVE_SECONDS)
        await self._drain((section, name) for section, names in change.retired.items() for name in names)
        deadline = time.monotonic() + _ALIVE_AT_ONCE_SECONDS
        while await self._still_awaited() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)

    async def collect(self) -> None:
        """Delete those that carry nothing any more."""
        if not self._leaving or await self._still_awaited() == {section for section, _ in self._leaving}:
            return
        used = await self._used()
        for section, name in tuple(self._leaving):
            if f"{section}/{name}" not in used:
                # HAProxy was started again meanwhile, without it.
                del self._leaving[section, name]
            elif section not in self._awaited and used[f"{section}/{name}"] == 0:
                await self._delete(section, name)

    async def _drain(self, servers: Iterable[tuple[str, str]]) -> None:
        """Let servers take nothing new, unless those that take their place are waited for."""
        for section, name in tuple(servers):
            if section not in self._awaited:
                await self._workers.run([Command(f"set server {section}/{name} state drain")])

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

    async def _still_awaited(self) -> set[str]:
        """The sections where the old servers still have to stay; elsewhere they drain from now on."""
        if not self._awaited:
            return set()
        passed = await self._passed()
        for section, successors in tuple(self._awaited.items()):
            alive = any(f"{section}/{name}" in passed for name in successors.names)
            if not alive and time.monotonic() < successors.deadline:
                continue
            if not alive:
                shown = ", ".join(server_address(name) for name in successors.names)
                self._say(f"{section}: the new servers ({shown}) have not passed a health check yet; the old ones go all the same")
            del self._awaited[section]
            await self._drain(one for one in self._leaving if one[0] == section)
        return set(self._awaited)

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
