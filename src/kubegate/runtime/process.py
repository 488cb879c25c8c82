"""The HAProxy process: started, watched, brought back when it dies, drained when it must end.

Runs in master-worker mode in a session of its own, so that a Ctrl-C in the terminal reaches kubegate alone.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable

import psutil

from kubegate.errors import KubegateError
from kubegate.render.haproxy import ADMIN_SOCKET, CONFIG_FILE
from kubegate.runtime.binary import Binary
from kubegate.runtime.control import ask
from kubegate.runtime.generation import Store, alerts
from kubegate.system.processes import ProcessId

_START_SECONDS = 15.0
_KILL_SECONDS = 3.0
# The first new start is immediate; only a process that keeps dying waits, and never long.
_RESTART_DELAYS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
_STEADY_SECONDS = 10.0
_SERVER_NEWS = re.compile(
    r"Server (?P<backend>\S+)/(?P<server>\S+) is (?P<state>UP|DOWN)"
    r"(?:/[^,]*)?(?:, reason: (?P<reason>[^,]*))?(?:, code: (?P<code>\d+))?(?:, (?:info|check): \"(?P<info>[^\"]*)\")?"
)

Say = Callable[[str], None]


class StartFailed(KubegateError):
    """HAProxy did not start."""


class HAProxy:
    """One supervised HAProxy. `say` receives a sentence whenever something happens that a person should know."""

    def __init__(self, binary: Binary, store: Store, say: Say) -> None:
        self._binary = binary
        self._store = store
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._output: deque[str] = deque(maxlen=200)
        self._reader: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start and wait until the listeners are open. Raises StartFailed with HAProxy's own words."""
        self._output.clear()
        self._process = await asyncio.create_subprocess_exec(
            self._binary.path,
            "-W",
            "-S",
            f"{self._store.master_socket},mode,600",
            "-C",
            self._store.current,
            "-f",
            CONFIG_FILE,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process), name="haproxy output")
        with contextlib.suppress(psutil.NoSuchProcess):
            ProcessId.of(self._process.pid).save(self._store.process_file)
        await self._until_open(self._process)

    async def keep_running(self) -> None:
        """Bring HAProxy back whenever it ends, until `stop` is called."""
        failures = 0
        while True:
            assert self._process is not None, "start() comes first"
            began = time.monotonic()
            code = await self._process.wait()
            await self._finish_reading()
            if self._stopping:
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                failures = 0
            self._say(f"HAProxy ended ({_why(code)}); starting it again")
            failures = await self._restart(failures)

    async def _restart(self, failures: int) -> int:
        while not self._stopping:
            await asyncio.sleep(_RESTART_DELAYS[min(failures, len(_RESTART_DELAYS) - 1)])
            failures += 1
            try:
                await self.start()
            except StartFailed as error:
                self._say(f"HAProxy did not start: {error.message}; trying again")
                continue
            self._say("HAProxy is back")
            break
        return failures

    async def stop(self, grace: float) -> bool:
        """Close the listeners, give open streams `grace` seconds, then end what is left. True if all ended by themselves."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return True
        drained = grace > 0 and await self._drain(process, grace)
        for signal_, seconds in ((signal.SIGTERM, _KILL_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
            if process.returncode is not None:
                break
            _signal_group(process.pid, signal_)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        await self._finish_reading()
        return drained

    async def open_streams(self) -> int | None:
        """How many requests and streams are being carried, over all workers; None if HAProxy does not answer."""
        try:
            workers = [line.split()[0] for line in (await ask(self._store.master_socket, "show proc")).splitlines()
                       if len(line.split()) > 1 and line.split()[1] == "worker"]  # fmt: skip
            count = 0
            for worker in workers:
                sessions = (await ask(self._store.master_socket, f"@!{worker} show sess")).splitlines()
                count += sum(1 for line in sessions if "proto=tcpv" in line)
        except (OSError, TimeoutError):
            return None
        return count

    async def _drain(self, process: asyncio.subprocess.Process, grace: float) -> bool:
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

    async def _until_open(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        socket = self._store.current / ADMIN_SOCKET
        while time.monotonic() < deadline:
            if process.returncode is not None:
                await self._finish_reading()
                raise StartFailed(alerts("\n".join(self._output)))
            with contextlib.suppress(OSError, TimeoutError):
                answer = await ask(socket.resolve(), "show info")
                if f"Pid: {process.pid}" not in answer and "Pid:" in answer:
                    return
            await asyncio.sleep(0.01)
        await self.stop(0)
        raise StartFailed(f"it did not open its listeners within {_START_SECONDS:.0f} seconds")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
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


async def end_leftover(store: Store, say: Say) -> None:
    """End the HAProxy that a killed kubegate left running in this folder; its open streams go on in it until they end."""
    left = ProcessId.load(store.process_file)
    if left is None or not left.alive():
        return
    say(f"taking over from HAProxy {left.pid}, which an earlier kubegate left running")
    os.kill(left.pid, signal.SIGUSR1)
    await asyncio.sleep(0)


def server_news(line: str) -> str | None:
    """A sentence out of HAProxy's message on a server that went up or down, None for any other line."""
    match = _SERVER_NEWS.search(line)
    if not match or match["backend"].endswith("-stream"):
        return None
    if match["state"] == "UP":
        return f"API server {match['server']} answers again"
    details = [match["reason"], match["code"] and f"status {match['code']}", match["info"]]
    return f"API server {match['server']} is down: {', '.join(detail for detail in details if detail)}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _why(code: int) -> str:
    if code > 128:
        code = 128 - code
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"exit code {code}"
