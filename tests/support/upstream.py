"""An API server of tests: it records exactly what it receives and answers as it is told, in plain HTTP or TLS.

Threads and not asyncio, whose TLS streams cannot end in one direction only.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from kubegate.model.address import Endpoint
from tests.support.forge import Forged
from tests.support.tls import api_leaf, server_context
from tests.support.wire import PATIENCE_SECONDS, Wire

HEALTH_CHECK_HOST = "kubegate-health-check"


@dataclass(eq=False)
class Request:
    """One request as it came. `head` has every byte up to and including the empty line."""

    wire: Wire
    head: bytes
    body: bytes = b""
    complete: bool = False

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The request target, byte for byte."""
        return self.head.split(b"\r\n", 1)[0].split(b" ", 1)[1].rsplit(b" ", 1)[0].decode("latin-1")

    @property
    def path(self) -> str:
        """The path of the target, which may be a whole URL."""
        return re.sub(r"^https?://[^/?]*", "", self.target).partition("?")[0]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case, and values, in order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


class Exchange:
    """One request and the means to answer it, well or badly. A script ends with the connection in order, or `leave`s it."""

    def __init__(self, request: Request, wire: Wire, rest: bytes) -> None:
        self.request = request
        self.wire = wire
        self.left = False
        self._rest = rest

    def body(self) -> bytes:
        """The body of the request, read now."""
        request = self.request
        if request.complete:
            return request.body
        if "chunked" in request.values("transfer-encoding"):
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                request.body += self._exactly(size)
                self._until(b"\r\n")
            while self._until(b"\r\n"):
                pass
        elif lengths := request.values("content-length"):
            request.body = self._exactly(int(lengths[0]))
        request.complete = True
        return request.body

    def reply(self, status: int = 200, *headers: str, body: bytes = b"{}", close: bool = False) -> None:
        """A whole answer."""
        self.body()
        lines = [f"HTTP/1.1 {status} X", *headers]
        if status >= 200 and status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        if close:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wire.send(head if self.request.method == "HEAD" else head + body)
        if close:
            self.leave()

    def begin(self, *headers: str) -> None:
        """The head of a chunked answer."""
        self.body()
        lines = ["HTTP/1.1 200 X", "Content-Type: application/json", "Transfer-Encoding: chunked", *headers, "", ""]
        self.wire.send("\r\n".join(lines).encode())

    def chunk(self, data: bytes) -> None:
        """One chunk; an empty one ends the answer."""
        self.wire.send(b"%x\r\n%s\r\n" % (len(data), data))

    def switch(self, protocol: str, *headers: str, early: bytes = b"") -> None:
        """Answer 101, with `early` in the same write; what follows on the wire is the protocol."""
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {protocol}", *headers, "", ""]
        self.wire.send("\r\n".join(lines).encode() + early)
        self.left = True

    def receive(self) -> bytes:
        """What came after the request, without any framing; empty at the end."""
        if self._rest:
            found, self._rest = self._rest, b""
            return found
        return self.wire.receive()

    def leave(self) -> None:
        """Close the connection after this."""
        self.left = True

    def remaining(self) -> bytes:
        """What was read beyond this request."""
        return self._rest

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._rest += self._more()
        found, _, self._rest = self._rest.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            parts.append(self._more())
            have += len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]

    def _more(self) -> bytes:
        data = self.wire.receive()
        if not data:
            raise ConnectionResetError("the request ended before its end")
        return data


Script = Callable[[Exchange], None]


def answer_ok(exchange: Exchange) -> None:
    """What happens without a script: 200 and a small object that says who answered what."""
    body = json.dumps({"server": exchange.wire.socket.getsockname()[1], "target": exchange.request.target}).encode()
    exchange.reply(200, "Content-Type: application/json", body=body)


def late(seconds: float) -> Script:
    """No answer for so long, and none after it."""

    def script(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.leave()

    return script


def websocket(exchange: Exchange, *headers: str, early: bytes = b"") -> None:
    """Accept a WebSocket (RFC 6455, 4.2.2)."""
    key = exchange.request.values("sec-websocket-key")[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    exchange.switch("websocket", f"Sec-WebSocket-Accept: {accept}", *headers, early=early)


@dataclass(eq=False)
class Upstream:
    """A server on a port of its own on 127.0.0.1. `ready` is the status of its health answers."""

    leaf: Forged | None = field(default_factory=api_leaf)
    context: ssl.SSLContext | None = None
    ready: int = 200
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    health_checks: list[Request] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._change = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        if self.context is None and self.leaf is not None:
            self.context = server_context(self.leaf)
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.open = True
        self._spawn(self._accept)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    def at(self, path: str, script: Script) -> None:
        """Answer requests whose path is, or begins with, `path` in this way."""
        self._scripts[path] = script

    def seen(self, path: str) -> list[Request]:
        """The requests whose path is, or begins with, `path`."""
        with self._change:
            return [request for request in self.requests if request.path.startswith(path)]

    def paths(self) -> list[str]:
        """The paths of all requests that have come."""
        with self._change:
            return [request.path for request in self.requests]

    def wait_for(self, path: str, count: int = 1) -> list[Request]:
        """Wait until so many of them have come."""
        self.wait_until(lambda: len([r for r in self.requests if r.path.startswith(path)]) >= count)
        return self.seen(path)

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until something about this server is true; asked after each event here."""
        with self._change:
            assert self._change.wait_for(condition, PATIENCE_SECONDS), "waited in vain"

    def announce(self) -> None:
        """Let those who wait look again."""
        with self._change:
            self._change.notify_all()

    def received(self) -> bytes:
        """Every byte that came, TLS taken off, health checks left out."""
        checks = {id(request.wire) for request in self.health_checks}
        return b"".join(bytes(wire.received) for wire in self.wires if id(wire) not in checks)

    def cut(self) -> None:
        """Cut every connection."""
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset every connection (RST), as happens to those of a process that is killed."""
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Whoever reads from it holds it open, and is woken; a shutdown of both directions would be a goodbye.
                connection.shutdown(socket.SHUT_RD)
            connection.close()

    def close(self, *, reset: bool = False) -> None:
        """Stop listening and cut every connection."""
        self.open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if reset:
            self.reset()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        self._threads.clear()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self.open:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            wire = Wire(connection, self.context, server_side=True)
        except OSError:
            connection.close()
            return
        with self._change:
            self.wires.append(wire)
            self._change.notify_all()
        # Clients that leave in the middle are no fault of this server.
        with wire, contextlib.suppress(OSError):
            self._answer_all(wire)

    def _answer_all(self, wire: Wire) -> None:
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                try:
                    data = wire.receive()
                except TimeoutError:
                    if rest:
                        raise
                    continue
                if not data:
                    return
                rest += data
            head, _, rest = rest.partition(b"\r\n\r\n")
            request = Request(wire, head + b"\r\n\r\n")
            exchange = Exchange(request, wire, rest)
            checking = HEALTH_CHECK_HOST in request.values("host")
            with self._change:
                (self.health_checks if checking else self.requests).append(request)
                self._change.notify_all()
            if checking:
                exchange.reply(self.ready, close=True)
            else:
                self._script(request.path)(exchange)
                if not exchange.left:
                    exchange.body()
            if exchange.left:
                return
            rest = exchange.remaining()

    def _script(self, path: str) -> Script:
        fitting = [prefix for prefix in self._scripts if path.startswith(prefix)]
        return self._scripts[max(fitting, key=len)] if fitting else answer_ok

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until something is true that nobody announces."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what or condition}"
        time.sleep(0.02)
