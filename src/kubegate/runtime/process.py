"""The HAProxy process: started, watched, brought back when it dies, drained when it must end.

Runs in master-worker mode in a session of its own, so that a Ctrl-C in the terminal reaches kubegate alone.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from kubegate.errors import KubegateError
from kubegate.render.haproxy import CONFIG_FILE
from kubegate.runtime.adopted import Adopted, Started
from kubegate.runtime.binary import Binary
from kubegate.runtime.control import ask
from kubegate.runtime.generation import Store, alerts
from kubegate.runtime.haproxy_output import HAProxyOutput
from kubegate.runtime.server_news import ServerNews
from kubegate.system.files import reason
from kubegate.system.network import listener_on, listening_pids
from kubegate.system.processes import ProcessId, ending_with

_START_SECONDS = 60.0
_KILL_SECONDS = 3.0
_RETIRE_SECONDS = 5.0
# The first new start is immediate; only a process that keeps dying waits, and never long.
_RESTART_DELAYS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
_STEADY_SECONDS = 10.0
_IN_USE = re.compile(r"in use\S* for \[.*:(\d+)\]")
_TCP = re.compile("proto=tcpv")
_PID = re.compile(r"^Pid: (\d+)$", re.MULTILINE)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Heirloom:
    """For a HAProxy that must not outlive this process: it has listeners of this process, by descriptor, and ends with it.

    `streams` tells the sessions of clients in HAProxy's list of them, for those of unix sockets look like its own.
    """

    descriptors: tuple[int, ...]
    streams: re.Pattern[str]


class StartFailed(KubegateError):
    """HAProxy did not start."""

    def __init__(self, why: str) -> None:
        super().__init__(f"HAProxy did not start: {why}")


class HAProxy:
    """One supervised HAProxy. `say` receives a sentence whenever something happens that a person should know."""

    def __init__(
        self,
        binary: Binary,
        store: Store,
        say: Say,
        log: Callable[[], int | None] = lambda: None,
        *,
        heirloom: Heirloom | None = None,
    ) -> None:
        self._binary = binary
        self._log = log
        self._heirloom = heirloom
        self._streams = heirloom.streams if heirloom else _TCP
        self._store = store
        self._say = say
        self._process: Adopted | None = None
        self._output = HAProxyOutput(store.output_pipe, ServerNews(say).hear)
        self._stopping = asyncio.Event()
        # Held while it starts or stops, so that a stop never overlooks a process that is about to be.
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Start and wait until the listeners are open. Raises StartFailed with HAProxy's own words."""
        async with self._changing:
            if self._stopping.is_set():
                raise StartFailed("it was told to stop")
            self._process = self._spawn()
            try:
                self._process.identity.save(self._store.process_file)
            except OSError as error:
                self._say(f"HAProxy's pid cannot be kept: {reason(error)}; it is found by its socket if need be")
            await self._until_open(self._process)

    def adopt(self, left: ProcessId) -> None:
        """Supervise a HAProxy that an earlier kubegate left running, as if it had been started here."""
        self._process = Adopted(left)
        try:
            left.save(self._store.process_file)
            self._output.open()
        except OSError as error:
            self._say(f"what HAProxy tells of API servers is not heard until it is started again: {reason(error)}")

    def let_go(self) -> None:
        """Supervise no more: HAProxy goes on."""
        self._stopping.set()
        self._output.close()
        if self._process is not None:
            self._process.close()

    def end_worker(self, pid: int, *, hangs: bool = False) -> None:
        """End a worker that does not end by itself, or that hangs; it must be a child of the master that runs."""
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(pid)
            if self.pid is not None and worker.ppid() == self.pid:
                worker.kill() if hangs else worker.terminate()

    @property
    def pid(self) -> int | None:
        """The master's pid, None if none runs."""
        return self._process.pid if self._process is not None and self._process.alive else None

    async def keep_running(
        self, before: Callable[[], None] = lambda: None, is_back: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Bring HAProxy back whenever it ends, until `stop` is called; `before` and `is_back` are called each time."""
        failures = 0
        while not self._stopping.is_set():
            assert self._process is not None, "start() comes first"
            began = time.monotonic()
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            self._output.read()
            if time.monotonic() - began > _STEADY_SECONDS:
                failures = 0
            self._say(f"HAProxy ended ({_why(code)}); starting it again")
            failures = await self._restart(failures, before)
            if is_back is not None and not self._stopping.is_set():
                await is_back()

    async def _restart(self, failures: int, before: Callable[[], None]) -> int:
        said = ""
        while not await self._stopping_within(_RESTART_DELAYS[min(failures, len(_RESTART_DELAYS) - 1)]):
            failures += 1
            before()
            try:
                await self.start()
            except StartFailed as error:
                # The same trouble again and again is one piece of news.
                if error.message != said and not self._stopping.is_set():
                    self._say(f"{error.message}; trying again until it does")
                said = error.message
                continue
            self._say("HAProxy is back")
            break
        return failures

    async def stop(self, grace: float) -> bool:
        """Close the listeners, give open streams `grace` seconds, then end what is left. True if all ended by themselves."""
        self._stopping.set()
        async with self._changing:
            process = self._process
            if process is None or not process.alive:
                return True
            drained = grace > 0 and await self._drain(process, grace)
            await self._end(process)
            self._output.close()
        return drained

    async def open_streams(self) -> int | None:
        """How many requests and streams are being carried, over all workers; None if HAProxy does not answer."""
        count = 0
        try:
            for line in (await ask(self._store.master_socket, "show proc")).splitlines():
                match line.split():
                    case [pid, "worker", *_]:
                        sessions = await ask(self._store.master_socket, f"@!{pid} show sess")
                        count += sum(bool(self._streams.search(session)) for session in sessions.splitlines())
        except (OSError, TimeoutError):
            return None
        return count

    def _spawn(self) -> Started:
        try:
            self._output.open()
            self._output.lines.clear()
            writer = self._output.writer()
        except OSError as error:
            raise StartFailed(f"the pipe for its messages cannot be made in {self._store.folder}: {reason(error)}") from None
        log = self._log()
        try:
            # Not by asyncio, which kills what it has started when it ends.
            child = subprocess.Popen(
                [
                    self._binary.path,
                    "-W",
                    "-S",
                    f"{self._store.master_socket},mode,600",
                    "-C",
                    self._store.current,
                    "-f",
                    CONFIG_FILE,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if log is None else log,
                stderr=writer,
                env={"PATH": os.defpath},
                start_new_session=True,
                pass_fds=self._heirloom.descriptors if self._heirloom else (),
                preexec_fn=ending_with(os.getpid()) if self._heirloom else None,
            )
        except OSError as error:
            raise StartFailed(f"{self._binary.path} cannot be run: {reason(error)}") from None
        finally:
            os.close(writer)
        try:
            return Started(child)
        except OSError as error:
            child.kill()
            child.wait()
            raise StartFailed(f"it cannot be watched: {reason(error)}") from None

    async def _until_open(self, process: Adopted) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            if not process.alive:
                self._output.read()
                raise StartFailed(_with_occupant(alerts("\n".join(self._output.lines))))
            with contextlib.suppress(OSError, TimeoutError):
                # The worker's answer, not the master's.
                found = _PID.search(await ask(self._store.admin_socket, "show info"))
                # The master makes its socket anew after it has started the worker.
                if found and int(found[1]) != process.pid and await ask(self._store.master_socket, "show proc"):
                    return
            await asyncio.sleep(0.01)
        await self._end(process)
        raise StartFailed(f"it did not open its listeners within {_START_SECONDS:.0f} seconds")

    async def _drain(self, process: Adopted, grace: float) -> bool:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.2)
                return True
            # Idle keep-alive connections alone hold nobody up: HAProxy would wait for their next request.
            if await self.open_streams() == 0:
                return True
        return False

    async def _end(self, process: Adopted) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.alive:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _KILL_SECONDS)

    async def _stopping_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


async def retire(left: ProcessId, port: int) -> None:
    """Let a HAProxy that nobody supervises close its listener on `port`, and wait for that; its streams go on until they end."""
    with contextlib.suppress(ProcessLookupError):
        if left.alive():
            os.kill(left.pid, signal.SIGUSR1)
    deadline = time.monotonic() + _RETIRE_SECONDS
    while left.alive() and time.monotonic() < deadline:
        if not _family(left.pid) & set(listening_pids(port)):
            return
        await asyncio.sleep(0.05)


def _family(pid: int) -> set[int]:
    try:
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    except psutil.Error:
        return set()


def _with_occupant(why: str) -> str:
    """Who has the port that HAProxy did not get."""
    taken = _IN_USE.search(why)
    occupant = listener_on(int(taken[1])) if taken else None
    return f"{why} ({occupant} listens there)" if occupant else why


def _why(code: int | None) -> str:
    if code is None:
        return "how, nobody knows: an earlier kubegate had started it"
    if code > 128:
        code = 128 - code
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"exit code {code}"
