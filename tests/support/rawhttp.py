"""HTTP/1 spoken by hand: requests are bytes, well-formed or not, and answers are taken apart without any forgiveness."""

import json
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.support.wire import Wire


class NoAnswer(Exception):
    """The connection ended before, or within, an answer; `begun` says that some of it had come."""

    def __init__(self, why: str = "", *, begun: bool = False) -> None:
        super().__init__(why)
        self.begun = begun


@dataclass(frozen=True)
class Answer:
    """One answer: `headers` in order, names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str:
        """The only value of a header, empty if there is none."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else ""

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def request(
    method: str = "GET",
    target: str = "/",
    *headers: str,
    host: str | None = "gate.test",
    body: bytes | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """The bytes of a request; `headers` are whole lines. Latin-1, so that any byte can be written."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + (body or b"")


class Client:
    """One connection of a client that speaks HTTP/1."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._buffer = b""

    @classmethod
    def connect(cls, host: str, port: int, context: ssl.SSLContext | None = None, name: str | None = None) -> "Client":
        """Connect, over TLS if a context is given."""
        return cls(Wire.connect(host, port, context, name))

    def ask(self, data: bytes) -> Answer:
        """Send bytes, take one answer."""
        self.wire.send(data)
        return self.answer(bodiless=data.startswith(b"HEAD "))

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer with its body. Raises NoAnswer."""
        answer = self.head()
        if bodiless or answer.status in (101, 204, 304):
            return answer
        if answer.header("transfer-encoding") == "chunked":
            body = b""
            while chunk := self.chunk():
                body += chunk
        elif length := answer.header("content-length"):
            body = self.exactly(int(length))
        else:
            body = self.rest()
        return Answer(answer.status, answer.headers, body)

    def head(self) -> Answer:
        """The status line and headers of the next answer, whose body is still to come; provisional answers are left out."""
        while True:
            status, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            version, code, *_ = status.split(" ")
            assert version == "HTTP/1.1", status
            if code == "101" or not code.startswith("1"):
                pairs = (line.partition(":") for line in lines)
                return Answer(int(code), tuple((name.lower(), value.strip()) for name, _, value in pairs))

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        size = int(self.until(b"\r\n"), 16)
        chunk = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return chunk

    def until(self, mark: bytes) -> bytes:
        """Everything up to a mark, which is left out."""
        while mark not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def exactly(self, size: int) -> bytes:
        """`size` bytes."""
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            data = self.wire.receive()
            if not data:
                raise NoAnswer(f"the connection ended after {have} of {size} bytes", begun=True)
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        found, self._buffer = self._buffer + self.wire.receive_rest(), b""
        return found

    def ended(self) -> bool:
        """Whether the connection ends here, with nothing more in it. Raises TimeoutError if neither happens."""
        return not self._buffer and not self.wire.receive()

    def _more(self) -> None:
        data = self.wire.receive()
        if not data:
            raise NoAnswer(f"the connection ended after {self._buffer!r}")
        self._buffer += data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wire.close()
