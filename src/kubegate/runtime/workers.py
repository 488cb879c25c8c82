"""HAProxy's workers: the one that takes new connections, and those of earlier configurations that live on with their streams."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from kubegate.errors import KubegateError
from kubegate.render.haproxy.live import Command, Rewrite, Step
from kubegate.render.haproxy.narrow import Narrowing
from kubegate.render.haproxy.sources import read_sources
from kubegate.runtime.control import ask

_RELOAD_SECONDS = 60.0
# Lists are long; but an answer of a worker that ends in the middle of it may never come, and somebody waits.
_LIST_SECONDS = 10.0
# A command, its payload and all that is joined to it have to fit into one buffer (global_.BUFFER_BYTES), with room to spare.
_BYTES_AT_ONCE = 24_000
_VERSION = re.compile(r"New version created: (\d+)")
_SESSION = re.compile(
    r"^(0x[0-9a-f]+): proto=(?!unix_stream src=unix:1 fe=GLOBAL)\S+ src=\S* fe=(\S+) be=(\S+) srv=(\S+)", re.MULTILINE
)


class Failed(KubegateError):
    """The Runtime API did not do what it was told."""


class ReloadRefused(KubegateError):
    """HAProxy refused a reload; the worker that ran goes on."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process. `reloads` counts those since it began; `current` says that it takes new connections."""

    pid: int
    current: bool
    reloads: int

    def alive(self) -> bool:
        """Whether it still runs."""
        return psutil.pid_exists(self.pid)


@dataclass(frozen=True, slots=True)
class Session:
    """A request or stream that is being carried."""

    handle: str
    frontend: str
    backend: str
    server: str


class Workers:
    """Speaks to every worker through the master's socket, and to the current one by its own. Every method may raise OSError."""

    def __init__(self, master: Path, admin: Callable[[], Path]) -> None:
        self._master = master
        self._admin = admin

    async def all(self) -> list[Worker]:
        """The workers that live, the current one first."""
        found = []
        current = False
        for line in (await ask(self._master, "show proc")).splitlines():
            if line.startswith("#"):
                current = line.startswith("# workers")
            match line.split():
                case [pid, "worker", reloads, *_]:
                    found.append(Worker(int(pid), current, int(reloads)))
        return found

    async def old(self) -> list[Worker]:
        """Those of earlier configurations, the oldest first."""
        return sorted((one for one in await self.all() if not one.current), key=lambda one: -one.reloads)

    async def reload(self) -> str:
        """Let the master start a worker with the files that it finds now. Returns what HAProxy said; raises ReloadRefused."""
        answer = await ask(self._master, "reload", seconds=_RELOAD_SECONDS)
        if not answer.startswith("Success=1"):
            lines = [line.split(" : ", 1)[-1].strip() for line in answer.splitlines() if "[ALERT]" in line]
            raise ReloadRefused(f"HAProxy refused to reload: {'; '.join(lines) or answer.strip() or 'it gave no reason'}")
        return answer

    async def run(self, steps: Iterable[Step], worker: Worker | None = None) -> None:
        """Do steps in their order in a worker (None: the current one). Raises Failed at the first that does not succeed."""
        for step in steps:
            if isinstance(step, Rewrite):
                await self._rewrite(step, worker)
                continue
            answer = await self.tell(step, worker)
            if (step.answers not in answer) if step.answers else answer.strip():
                raise Failed(f"HAProxy did not do `{step.text}`: {answer.strip()[:300] or 'it gave no answer'}")

    async def tell(self, command: Command, worker: Worker | None = None) -> str:
        """One command, whatever comes of it."""
        if worker is None:
            return await ask(self._admin(), command.text, command.payload)
        return await ask(self._master, f"@!{worker.pid} {command.text}", command.payload)

    async def _tell_all(self, texts: Iterable[str], worker: Worker | None) -> str:
        """Several commands at once; none of them may have a semicolon in it."""
        # The master takes the prefix for the one command behind it.
        joint = "; " if worker is None else f"; @!{worker.pid} "
        return await self.tell(Command(joint.join(texts)), worker)

    async def _rewrite(self, step: Rewrite, worker: Worker | None) -> None:
        answer = await self.tell(Command(f"prepare {step.kind} {step.file}"), worker)
        match = _VERSION.search(answer)
        if not match:
            raise Failed(f"HAProxy did not prepare {step.file}: {answer.strip()[:300]}")
        version = match[1]
        for part in _parts(step.lines, len(f"; @!{worker.pid if worker else 0} add acl @{version} {step.file} ")):
            if step.kind == "map":
                added = Command(f"add map @{version} {step.file}", "".join(f"{line}\n" for line in part).encode())
                await self.run([added], worker)
            # `add acl` takes no payload in 2.8; the lines are addresses, in which no semicolon can stand.
            elif answer := (await self._tell_all([f"add acl @{version} {step.file} {line}" for line in part], worker)).strip():
                raise Failed(f"HAProxy did not take the ranges of {step.file}: {answer[:300]}")
        await self.run([Command(f"commit {step.kind} @{version} {step.file}")], worker)

    async def sessions(self, worker: Worker) -> list[Session]:
        """The requests and streams of a worker, those of its own sockets left out."""
        answer = await ask(self._master, f"@!{worker.pid} show sess", seconds=_LIST_SECONDS)
        return [
            Session(handle, front, back, server)
            for handle, front, back, server in _SESSION.findall(answer)
            if front != "GLOBAL" and not front.startswith("MASTER")
        ]

    async def ending(self, worker: Worker, what: Narrowing, *, takes_new: bool) -> list[str]:
        """The handles of the requests and streams of a worker that a narrowing ends; `takes_new` as it is then."""
        if not what.ends_some:
            return []
        answer = await ask(self._master, f"@!{worker.pid} show sess all", seconds=_LIST_SECONDS)
        tables = [await self.tell(Command(f"show table {section}"), worker) for section in what.by_source]
        holders = [await self.tell(Command(f"show table {section}"), worker) for section in what.revoked]
        return [one.handle for one in read_sources(answer, tables, holders) if what.ends_session(one, takes_new=takes_new)]

    async def end(self, worker: Worker, handles: Sequence[str]) -> int:
        """End sessions of a worker at once. Returns how many."""
        for part in _parts(handles, len(f"; @!{worker.pid} shutdown session ")):
            await self._tell_all([f"shutdown session {handle}" for handle in part], worker)
        return len(handles)


def _parts(lines: Sequence[str], more: int) -> Iterator[Sequence[str]]:
    """Lines in order, as many at once as fit where each of them takes so many bytes `more`."""
    part: list[str] = []
    size = 0
    for line in lines:
        takes = len(line.encode()) + more
        if part and size + takes > _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(line)
        size += takes
    if part:
        yield part
