"""HAProxy with the rules of the local proxy's filters and nothing else, beside the decider that it asks; what passes is 200."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kubegate.model.filters import Filters
from kubegate.proxy.decider import Decider
from kubegate.proxy.judge import Judge
from kubegate.proxy.verdict_memo import VerdictMemo
from kubegate.render.haproxy.global_ import BUFFER_BYTES
from kubegate.render.haproxy.local.filters import LUA_FILE, VERDICTS_FILE, global_lines, lua, rules
from kubegate.render.haproxy.text import section
from kubegate.runtime.binary import find
from kubegate.runtime.control import ask
from kubegate.system.network import free_port
from tests.support import rawh2, rawhttp
from tests.support.upstream import eventually
from tests.support.wire import Wire

T = TypeVar("T")


class Filtered:
    """Runs inside its block. `asked` are the questions that reached Python; `decides` says whether there is anyone to ask."""

    def __init__(self, filters: Filters, *, decides: bool = True, script: str | None = None) -> None:
        self.judge = Judge(filters)
        self.asked: list[bytes] = []
        self.refreshed: list[str] = []
        self.said: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="kg-", dir="/tmp"))
        self.port, self.h2_port = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.socket = self.folder / "ask.sock"
        self.memo = VerdictMemo(self._remember, self._forget, self.said.append)
        self._decides = decides
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ends = asyncio.Event()
        self.config = self._config(filters)
        (self.folder / "haproxy.cfg").write_text(self.config)
        (self.folder / LUA_FILE).write_text(script or lua(str(self.socket), filters))
        (self.folder / VERDICTS_FILE).touch()

    def _config(self, filters: Filters) -> str:
        limits = [
            "nbthread 1",
            f"tune.bufsize {BUFFER_BYTES}",
            f"stats socket unix@{self.folder}/admin.sock mode 600 level admin",
        ]
        times = [f"timeout {name} 30s" for name in ("client", "server", "connect", "http-request")]
        front = [
            f"bind 127.0.0.1:{self.port} proto h1",
            f"bind 127.0.0.1:{self.h2_port} proto h2",
            "http-request set-var(txn.path) path",
            "http-request set-var(txn.host) req.fhdr(host)",
            *rules(filters),
            "http-request return status 200 content-type text/plain string passed",
        ]
        sections = [section("global", [*limits, *global_lines()]), section("defaults", ["mode http", *times])]
        return "\n\n".join([*sections, section("frontend local", front)]) + "\n"

    async def _remember(self, key: str, value: str) -> None:
        said = await ask(self.folder / "admin.sock", f"add map {VERDICTS_FILE}", f"{key} {value}\n".encode())
        assert not said.strip(), said

    async def _forget(self) -> None:
        await ask(self.folder / "admin.sock", f"clear map {VERDICTS_FILE}")

    async def _refresh(self, cluster: str) -> None:
        self.refreshed.append(cluster)

    async def _serve(self) -> None:
        decider = _Counting(self.judge, self.memo, self._refresh)
        decider.asked = self.asked
        async with decider.serving(self.socket):
            await self._ends.wait()

    def remembered(self) -> list[str]:
        """The lines of the map."""
        return self._do(ask(self.folder / "admin.sock", f"show map {VERDICTS_FILE}")).split("\n")[:-2]

    def h1(self) -> rawhttp.Client:
        """A new connection."""
        return rawhttp.Client.connect("127.0.0.1", self.port)

    def h2(self) -> rawh2.Client:
        """A new connection that speaks HTTP/2, without TLS."""
        return rawh2.Client(Wire.connect("127.0.0.1", self.h2_port))

    def once(self, method: str, target: str, *headers: str, host: str = "localhost", body: bytes | None = None) -> rawhttp.Answer:
        """One request on a connection of its own."""
        with self.h1() as client:
            return client.ask(rawhttp.request(method, target, *headers, host=host, body=body))

    @contextmanager
    def instead(self, answer: bytes | None) -> Iterator[None]:
        """Someone who answers every question so, with status 200, in the place of a decider; None: never."""

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                connection.recv(65536)
                if answer is not None:
                    connection.sendall(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

        held: list[socket.socket] = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket))
            listener.listen()
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
        for connection in held:
            connection.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop) if self._decides else None
        with (self.folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [find().path, "-db", "-C", self.folder, "-f", "haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=stderr
            )
        eventually(self._open, "HAProxy listens")
        return self

    def _open(self) -> bool:
        assert self._process.poll() is None, (self.folder / "stderr").read_text()
        try:
            self.h1().wire.close()
        except OSError:
            return False
        return self.socket.exists() or not self._decides

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(10)
        self._loop.call_soon_threadsafe(self._ends.set)
        if self._server is not None:
            self._server.result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        shutil.rmtree(self.folder)


class _Counting(Decider):
    asked: list[bytes]

    async def verdict(self, question: bytes) -> str:
        self.asked.append(question)
        return await super().verdict(question)
