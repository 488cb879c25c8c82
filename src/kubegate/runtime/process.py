"""The HAProxy process: started, watched, brought back when it dies, drained when it must end.

Runs in master-worker mode in a session of its own, so that a Ctrl-C in the terminal reaches kubegate alone.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable

import psutil

from kubegate.errors import KubegateError
from kubegate.render.haproxy import CONFIG_FILE
from kubegate.render.haproxy.backend import STREAMS
from kubegate.runtime.adopted import Adopted
from kubegate.runtime.binary import Binary
from kubegate.runtime.control import ask
from kubegate.runtime.generation import Store, alerts
from kubegate.system.files import reason
from kubegate.system.network import listening_pids
from kubegate.system.processes import ProcessId

_START_SECONDS = 15.0
_KILL_SECONDS = 3.0
_RETIRE_SECONDS = 5.0
# The first new start is immediate; only a process that keeps dying waits, and never long.
_RESTART_DELAYS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
_STEADY_SECONDS = 10.0
_SERVER_NEWS = re.compile(
    r"Server (?P<backend>\S+)/(?P<server>\S+?)(?:_[0-9a-f]{8})? is (?P<state>UP|DOWN)"
    r"(?:/[^,]*)?(?:, reason: (?P<reason>[^,]*))?(?:, code: (?P<code>\d+))?(?:, (?:info|check): \"(?P<info>[^\"]*)\")?"
)
_PID = re.compile(r"^Pid: (\d+)$", re.MULTILINE)

Say = Callable[[str], None]


class StartFailed(KubegateError):
    """HAProxy did not start."""

    def __init__(self, why: str) -> None:
        super().__init__(f"HAProxy did not start: {why}")


class HAProxy:
    """One supervised HAProxy. `say` receives a sentence whenever something happens that a person should know."""

    def __init__(self, binary: Binary, store: Store, say: Say, log: Callable[[], int | None] = lambda: None) -> None:
        self._binary = binary
        self._log = log
        self._store = store
        self._say = say
        self._process: Process | Adopted | None = None
        self._output: deque[str] = deque(maxlen=200)
        self._reader: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        # Held while it starts or stops, so that a stop never overlooks a process that is about to be.
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Start and wait until the listeners are open. Raises StartFailed with HAProxy's own words."""
        async with self._changing:
            if self._stopping.is_set():
                raise StartFailed("it was told to stop")
            self._output.clear()
            self._process = await self._spawn()
            self._reader = asyncio.create_task(self._read(self._process), name="haproxy output")
            try:
                ProcessId.of(self._process.pid).save(self._store.process_file)
            except OSError as error:
                self._say(f"HAProxy's pid cannot be kept, so nobody takes it over if kubegate is killed: {reason(error)}")
            await self._until_open(self._process)

    def adopt(self, left: ProcessId) -> None:
        """Supervise a HAProxy that an earlier kubegate left running, as if it had been started here."""
        self._process = Adopted(left)

    def let_go(self) -> None:
        """Supervise no more: HAProxy goes on."""
        self._stopping.set()
        self._process = None

    def kill_worker(self, pid: int) -> None:
        """End a worker that does not end by itself; it must be a child of the master that runs."""
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(pid)
            if self.pid is not None and worker.ppid() == self.pid:
                worker.terminate()

    @property
    def pid(self) -> int | None:
        """The master's pid, None if none runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep_running(self) -> None:
        """Bring HAProxy back whenever it ends, until `stop` is called."""
        failures = 0
        while not self._stopping.is_set():
            assert self._process is not None, "start() comes first"
            began = time.monotonic()
            code = await self._process.wait()
            await self._finish_reading()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                failures = 0
            self._say(f"HAProxy ended ({_why(code)}); starting it again")
            failures = await self._restart(failures)

    async def _restart(self, failures: int) -> int:
        while not await self._stopping_within(_RESTART_DELAYS[min(failures, len(_RESTART_DELAYS) - 1)]):
            failures += 1
            try:
                await self.start()
            except StartFailed as error:
                if not self._stopping.is_set():
                    self._say(f"{error.message}; trying again")
                continue
            self._say("HAProxy is back")
            break
        return failures

    async def stop(self, grace: float) -> bool:
        """Close the listeners, give open streams `grace` seconds, then end what is left. True if all ended by themselves."""
        self._stopping.set()
        async with self._changing:
            process = self._process
            if process is None or process.returncode is not None:
                return True
            drained = grace > 0 and await self._drain(process, grace)
            await self._end(process)
        return drained

    async def open_streams(self) -> int | None:
        """How many requests and streams are being carried, over all workers; None if HAProxy does not answer."""
        count = 0
        try:
            for line in (await ask(self._store.master_socket, "show proc")).splitlines():
                match line.split():
                    case [pid, "worker", *_]:
                        sessions = await ask(self._store.master_socket, f"@!{pid} show sess")
                        count += sum("proto=tcpv" in session for session in sessions.splitlines())
        except (OSError, TimeoutError):
            return None
        return count

    async def _spawn(self) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._binary.path,
                "-W",
                "-S",
                f"{self._store.master_socket},mode,600",
                "-C",
                self._store.current,
                "-f",
                CONFIG_FILE,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._log() or asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        except OSError as error:
            raise StartFailed(f"{self._binary.path} cannot be run: {reason(error)}") from None

    async def _until_open(self, process: Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            if process.returncode is not None:
                await self._finish_reading()
                raise StartFailed(alerts("\n".join(self._output)))
            with contextlib.suppress(OSError, TimeoutError):
                # The worker's answer, not the master's.
                found = _PID.search(await ask(self._store.admin_socket, "show info"))
                # The master makes its socket anew after it has started the worker.
                if found and int(found[1]) != process.pid and await ask(self._store.master_socket, "show proc"):
                    return
            await asyncio.sleep(0.01)
        await self._end(process)
        raise StartFailed(f"it did not open its listeners within {_START_SECONDS:.0f} seconds")

    async def _drain(self, process: "Process | Adopted", grace: float) -> bool:
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

    async def _end(self, process: "Process | Adopted") -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _KILL_SECONDS)
        await self._finish_reading()

    async def _stopping_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                # A line longer than the buffer is dropped; reading goes on, for a full pipe would stop HAProxy.
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._output.append(text)
            if news := server_news(text):
                self._say(news)

    async def _finish_reading(self) -> None:
        if self._reader is None:
            return
        # A process that inherited the pipe must not hold us up.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reader), 1.0)


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


def server_news(line: str) -> str | None:
    """A sentence out of HAProxy's message on a server that went up or down, None for any other line."""
    match = _SERVER_NEWS.search(line)
    # A cluster's backend of streams checks the same servers, and is not told beside the other one.
    if not match or match["backend"].endswith(STREAMS):
        return None
    if match["state"] == "UP":
        return f"API server {match['server']} answers again"
    details = [match["reason"], match["code"] and f"status {match['code']}", match["info"]]
    return f"API server {match['server']} is down: {', '.join(detail for detail in details if detail)}"


def _why(code: int) -> str:
    if code > 128:
        code = 128 - code
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"exit code {code}"
