"""Servers that were removed: they take nothing new, carry what they have to its end, and are deleted then."""

import asyncio
import contextlib
import csv
import io
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kubegate.model.plan import Plan
from kubegate.render.haproxy import Shape
from kubegate.render.haproxy.backend import names as sections_of
from kubegate.render.haproxy.backend import server_address
from kubegate.render.haproxy.live import Change, Command, drained, forgotten, taken
from kubegate.runtime.process import Say
from kubegate.runtime.workers import Failed, Workers

_ALIVE_SECONDS = 6.0
_ALIVE_AT_ONCE_SECONDS = 1.0
_POLL_SECONDS = 0.05
# Of more sections than this, all is asked for at once.
_MOST_SECTIONS = 50
_NOT_CHECKED = ("", "INI", "UNK")
_HEADER_FIELDS = ("bkname/svname", "used_cur")


@dataclass(frozen=True, slots=True)
class _Successors:
    """New servers of a section, which are to be found alive before the old ones go, and until when that is waited for."""

    names: tuple[str, ...]
    deadline: float


_NOBODY = _Successors((), 0.0)


class Retirement:
    """The servers of the current worker that are on their way out."""

    def __init__(self, workers: Workers, say: Say) -> None:
        self._workers = workers
        self._say = say
        # Whether they take nothing new any more.
        self._leaving: dict[tuple[str, str], bool] = {}
        self._awaited: dict[str, _Successors] = {}

    @property
    def leaving(self) -> Collection[tuple[str, str]]:
        """Pairs of section and server name."""
        return tuple(self._leaving)

    async def find(self, plan: Plan, shape: Shape) -> None:
        """Those that an earlier kubegate let go, and CA bundles that nothing needs any more. Raises OSError or TimeoutError."""
        sections = {section for backend in plan.backends for section in sections_of(backend)}
        given_nothing = {(row["pxname"], row["svname"]) for row in await self._rows("-1") if row["status"].startswith("DRAIN")}
        for section, name in await self._carried():
            if section in sections and name not in shape.servers.get(section, {}):
                await self._workers.tell(drained(section, name))
                self._leaving[section, name] = True
        for section, servers in shape.servers.items():
            # It would have taken the place of one of those.
            for name in servers:
                if (section, name) in given_nothing:
                    await self._workers.tell(taken(section, name))
        answer = await self._workers.tell(Command("show ssl ca-file"))
        known = (line.split(" ")[0] for line in answer.splitlines() if line.startswith("ca-"))
        for file in known:
            if file not in shape.authorities:
                await self._workers.tell(forgotten(file))

    def forget(self) -> None:
        """Another worker came: it has none of them."""
        self._leaving.clear()
        self._awaited.clear()

    async def add(self, change: Change) -> None:
        """Let the servers go that a change retires; at once where none takes their place, or where those are soon found alive."""
        for section, names in change.arrived.items():
            for name in names:
                self._leaving.pop((section, name), None)
        for section, names in change.retired.items():
            self._leaving.update(dict.fromkeys(((section, name) for name in names), False))
            if section in change.arrived:
                patience = _ALIVE_AT_ONCE_SECONDS if section in change.distrusting else _ALIVE_SECONDS
                # Those of a change before are waited for on, else nobody would let them take requests.
                before = self._awaited.get(section, _NOBODY).names
                names_now = (*(one for one in before if (section, one) not in self._leaving), *change.arrived[section])
                self._awaited[section] = _Successors(names_now, time.monotonic() + patience)
            elif section in self._awaited and all((section, name) in self._leaving for name in self._awaited[section].names):
                del self._awaited[section]
            if section not in self._awaited:
                await self._drain(section, self._staying(section))
        deadline = time.monotonic() + _ALIVE_AT_ONCE_SECONDS + 2 * _POLL_SECONDS
        while any(section in self._awaited for section in change.retired) and time.monotonic() < deadline:
            await self._look_for_successors()
            await asyncio.sleep(_POLL_SECONDS)

    async def collect(self) -> None:
        """Delete those that carry nothing any more."""
        if not self._leaving:
            return
        await self._look_for_successors()
        carried = await self._carried({section for section, _ in self._leaving})
        for section, name in tuple(self._leaving):
            if (section, name) not in carried:
                # HAProxy was started again meanwhile, without it.
                del self._leaving[section, name]
            elif self._leaving[section, name] and carried[section, name] == 0:
                await self._delete(section, name)

    def _staying(self, section: str) -> list[str]:
        """Those that leave a section, and still take what comes."""
        return [name for (one, name), drained in self._leaving.items() if one == section and not drained]

    async def _drain(self, section: str, names: Iterable[str]) -> None:
        """Let servers take nothing new."""
        for name in names:
            await self._workers.run([drained(section, name)])
            self._leaving[section, name] = True

    async def _delete(self, section: str, name: str) -> None:
        with contextlib.suppress(Failed):
            await self._workers.run([Command(f"set server {section}/{name} state maint")])
            await self._workers.run([Command(f"del server {section}/{name}", answers="Server deleted")])
            del self._leaving[section, name]

    async def _look_for_successors(self) -> None:
        """Let old servers go whose successors are alive, or were waited for long enough.

        A server of the same address has to be looked at before: until then the old one may be the only one that answers.
        """
        for section, successors in tuple(self._awaited.items()):
            checked = await self._checked(section)
            heirs = {server_address(name): name for name in successors.names}
            known = {address: checked.get(name) for address, name in heirs.items()}
            alive = any(known.values())
            in_time = time.monotonic() < successors.deadline
            staying = self._staying(section)
            going = [name for name in staying if not in_time or (alive and known.get(server_address(name), True) is not None)]
            if going and not alive:
                shown = ", ".join(known)
                self._say(f"{section}: no health check of the new servers ({shown}) succeeded yet; the old ones go all the same")
            for name in going:
                # With no moment in between in which both take requests, or neither does.
                if heir := heirs.get(server_address(name)):
                    await self._workers.run([taken(section, heir)])
                await self._drain(section, [name])
            if len(going) == len(staying):
                del self._awaited[section]

    async def _carried(self, sections: Collection[str] = ()) -> Mapping[tuple[str, str], int]:
        """How many requests and streams each server carries, of some sections or, where none is named, of all."""
        which = sections if 0 < len(sections) <= _MOST_SECTIONS else [""]
        found: dict[tuple[str, str], int] = {}
        at = 0, 0
        for line in (await self._ask(f"show servers conn {section}" for section in which)).splitlines():
            fields = line.removeprefix("# ").split()
            if line.startswith("#"):
                at = fields.index(_HEADER_FIELDS[0]), fields.index(_HEADER_FIELDS[1])
            elif len(fields) > max(at):
                section, _, name = fields[at[0]].partition("/")
                found[section, name] = int(fields[at[1]])
        return found

    async def _checked(self, section: str) -> Mapping[str, bool | None]:
        """Whether the last health check of each server of a section succeeded, None if there was none yet."""
        words = {row["svname"]: row["check_status"].removeprefix("* ") for row in await self._rows(section)}
        return {server: None if word in _NOT_CHECKED else word.startswith("L7OK") for server, word in words.items()}

    async def _rows(self, section: str) -> list[dict[str, str]]:
        """The statistics of the servers of a section, or of all (`-1`)."""
        return list(csv.DictReader(io.StringIO((await self._ask([f"show stat {section} 4 -1"])).removeprefix("# "))))

    async def _ask(self, questions: Iterable[str]) -> str:
        return await self._workers.tell(Command("; ".join(questions)))
