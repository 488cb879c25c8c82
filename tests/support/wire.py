"""A blocking byte pipe over TCP or TLS whose directions end separately, which TLS sockets of the standard library cannot do."""

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Any, Self

PATIENCE_SECONDS = 20.0


class Wire:
    """One connection; `peer` is the certificate that the peer proved. One thread may send while another receives."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None = None,
        *,
        server_side: bool = False,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.socket = sock
        self.received = bytearray()
        sock.settimeout(PATIENCE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (
            context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=name, session=session)
            if context
            else None
        )
        self.peer: dict[str, Any] = {}
        if self.tls:
            self._handshake(self.tls)
            self.peer = dict(self.tls.getpeercert() or {})

    @classmethod
    def connect(cls, host: str, port: int, context: ssl.SSLContext | None = None, name: str | None = None) -> "Wire":
        """A client's end."""
        sock = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
        try:
            return cls(sock, context, name=name)
        except BaseException:
            sock.close()
            raise

    def _handshake(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionResetError("the peer left during the handshake") from None
                self._in.write(data)
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._flush()
                raise
            else:
                self._flush()
                return

    def send(self, data: bytes) -> None:
        """Send everything."""
        with self._sending:
            if self.tls is None:
                self.socket.sendall(data)
                return
            for start in range(0, len(data), 16384):
                with self._lock:
                    self.tls.write(data[start : start + 16384])
                self._flush()

    def receive(self, limit: int = 65536) -> bytes:
        """What has come; empty at the end, whether it is a FIN, a close_notify or a reset. Raises TimeoutError."""
        try:
            data = self._receive(limit)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        self.received += data
        return data

    def _receive(self, limit: int) -> bytes:
        if self.tls is None:
            return self.socket.recv(limit)
        while True:
            with self._lock:
                try:
                    return self.tls.read(limit)
                except ssl.SSLZeroReturnError:
                    return b""
                except ssl.SSLWantReadError:
                    pass
            data = self.socket.recv(limit)
            with self._lock:
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    def receive_exactly(self, size: int) -> bytes:
        """`size` bytes, fewer if the end comes first."""
        data = bytearray()
        while len(data) < size and (more := self.receive(size - len(data))):
            data += more
        return bytes(data)

    def receive_rest(self) -> bytes:
        """Everything up to the end."""
        data = bytearray()
        while more := self.receive():
            data += more
        return bytes(data)

    def end(self) -> None:
        """Say that nothing more will be sent (close_notify, or FIN); the other direction stays open."""
        with self._sending:
            if self.tls is None:
                self.socket.shutdown(socket.SHUT_WR)
                return
            with self._lock, contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self._flush()

    def cut(self) -> None:
        """End both directions, with no TLS courtesies; whoever reads here sees the end."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self.cut()
        self.socket.close()

    def _flush(self) -> None:
        if waiting := self._out.read():
            self.socket.sendall(waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
