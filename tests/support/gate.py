"""The real gate of tests: a plan rendered, accepted by the embedded HAProxy, and run under supervision."""

import asyncio
import csv
import functools
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Frontend, Plan, Process, Shown, Verification
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import CONFIG_FILE, render
from kubegate.render.haproxy.backend import server_address
from kubegate.runtime.binary import find
from kubegate.runtime.control import ask
from kubegate.runtime.generation import Store
from kubegate.runtime.process import HAProxy
from kubegate.system.network import free_port
from kubegate.system.processes import ProcessId
from tests.support import rawh2, rawhttp
from tests.support.tls import API_NAME, GATE_NAME, client_context, cluster_authority, front_authority, gate_pem

Edit = Callable[[str], str]
T = TypeVar("T")

VERIFIED = Verification(cluster_authority().pem, API_NAME, send_sni=True)


def plan(
    *servers: Endpoint,
    verification: Verification | None = VERIFIED,
    tls: bool = True,
    passthrough: bool = False,
    listen: str = "127.0.0.1",
    max_connections: int = 2000,
) -> Plan:
    """A plan of one gate named `gate` in front of the cluster `test`."""
    backend = Backend("test", servers, tls, verification if tls else None, opened=not passthrough)
    shown = () if passthrough else (Shown("test", gate_pem()),)
    front = Frontend("gate", Endpoint(listen, free_port(listen)), backend.name, shown, sole=True)
    return Plan((front,), (backend,), Process(max_connections))


class Gate:
    """A running gate. `edit` changes the rendered configuration, for probes that a test needs and a gate does not."""

    def __init__(self, what: Plan, edit: Edit | None = None) -> None:
        self.plan = what
        self.said: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # A short path, for sockets are made in it.
        self.folder = Path(tempfile.mkdtemp(prefix="kg-", dir="/tmp"))
        self.store = Store(self.folder / "run")
        files = dict(render(what, self.store.sockets).files)
        if edit:
            files[CONFIG_FILE] = edit(files[CONFIG_FILE].decode()).encode()
        self.config = files[CONFIG_FILE].decode()
        try:
            self.store.acquire()
            binary = find()
            self.store.switch(self.store.accept(Bundle(files), binary))
            self.haproxy = HAProxy(binary, self.store, self.said.append)
            self.do(self.haproxy.start())
        except BaseException:
            self._clean_up()
            raise
        self._keeper = asyncio.run_coroutine_threadsafe(self.haproxy.keep_running(), self._loop)

    @property
    def master(self) -> ProcessId:
        """The master process that runs now."""
        found = ProcessId.load(self.store.process_file)
        assert found is not None
        return found

    @property
    def listen(self) -> Endpoint:
        return self.plan.frontends[0].listen

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where HAProxy's supervisor lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def show(self, command: str) -> str:
        """Ask the Runtime API of the worker."""
        return self.do(ask(self.store.admin_socket, command))

    def stat(self, column: str, server: str) -> list[str]:
        """One column of HAProxy's statistics, for the servers at this address in every backend."""
        lines = csv.DictReader(self.show("show stat").removeprefix("# ").splitlines())
        return [line[column] for line in lines if server_address(line["svname"]) == server]

    def h1(self) -> rawhttp.Client:
        """A new connection that speaks HTTP/1."""
        context = client_context(front_authority())
        return rawhttp.Client.connect(self.listen.host, self.listen.port, context, GATE_NAME)

    def h2(self) -> rawh2.Client:
        """A new connection that speaks HTTP/2."""
        return rawh2.Client.connect(self.listen.host, self.listen.port, client_context(front_authority()), GATE_NAME)

    def once(self, data: bytes) -> rawhttp.Answer:
        """One HTTP/1 request on a connection of its own."""
        with self.h1() as client:
            return client.ask(data)

    def ask(self, version: str, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None) -> rawhttp.Answer:
        """One request, as `h1` or `h2`, on a connection of its own."""
        if version == "h2":
            with self.h2() as client:
                return client.ask(method, target, *((name.lower(), value) for name, value in headers), body=body or b"")
        lines = [f"{name}: {value}" for name, value in headers]
        return self.once(rawhttp.request(method, target, *lines, body=body))

    def through(self, context: ssl.SSLContext, name: str = API_NAME) -> rawhttp.Client:
        """A new connection through a gate that does not open TLS."""
        return rawhttp.Client.connect(self.listen.host, self.listen.port, context, name)

    def stop(self, grace: float = 0) -> bool:
        """Stop HAProxy; whether all streams ended by themselves."""
        drained = self.do(self.haproxy.stop(grace))
        self._keeper.result(30)
        return drained

    def close(self) -> None:
        """Stop and remove everything."""
        try:
            self.stop()
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.store.release()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def quick_checks(config: str) -> str:
    """An edit that lets health checks follow one another quickly."""
    return config.replace("inter 3s", "inter 200ms").replace("fastinter 1s", "fastinter 100ms")


def in_section(head: str, *lines: str) -> Edit:
    """An edit that puts lines at the end of one section."""

    def edit(config: str) -> str:
        sections = config.split("\n\n")
        found = [number for number, section in enumerate(sections) if section.startswith(f"{head}\n")]
        assert len(found) == 1, head
        sections[found[0]] = "\n".join([sections[found[0]].rstrip("\n"), *(f"  {line}" for line in lines)])
        return "\n\n".join(sections) + "\n"

    return edit


def edits(*several: Edit) -> Edit:
    """Several edits, one after another."""
    return lambda config: functools.reduce(lambda text, edit: edit(text), several, config)
