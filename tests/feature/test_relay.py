"""The relay to API servers behind a proxy, through real proxies: bytes, ends, and what it says when it does not get there."""

import asyncio
import contextlib
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubegate.proxy.relay import DialFailed, Relay, RelayTrouble
from tests.support.forge import forge
from tests.support.listening import closed_port
from tests.support.proxies import QUOTED, Server, pproxy, ssh_socks, tinyproxy
from tests.support.tls import authority, server_context
from tests.support.wire import Wire

CA = authority("proxies")
LEAF = forge("proxy", CA, names=["127.0.0.1"])
BIG = os.urandom(3 << 20)


def echo(wire: Wire) -> None:
    """Everything back at once."""
    while data := wire.receive():
        wire.send(data)


def answer_at_the_end(wire: Wire) -> None:
    """Says how much came, only after the end of it."""
    size = len(wire.receive_rest())
    time.sleep(0.3)
    wire.send(b"%d bytes" % size)
    wire.end()


def speak_first(wire: Wire) -> None:
    """Everything at once, and the end."""
    wire.send(BIG)
    wire.end()
    wire.receive_rest()


class Visitor:
    """What a client of the relay does, in a thread, while the relay runs."""

    def __init__(self, folder: Path, proxy_url: str, port: int, *, host: str = "127.0.0.1", seconds: float = 5.0) -> None:
        self.path = folder / "relay.sock"
        self.said: list[str] = []
        self._make: Callable[[], Relay] = lambda: Relay(
            proxy_url, host, port, self.path, ca_pem=CA.pem, say=self.said.append, seconds=seconds
        )

    def run(self, script: Callable[[Wire], bytes]) -> bytes:
        """The result of a script that is played with one connection."""

        def visit() -> bytes:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.path))
            with UnixWire(connection) as wire:
                return script(wire)

        async def play() -> bytes:
            async with self._make():
                assert stat.S_IMODE(self.path.stat().st_mode) == 0o600
                return await asyncio.to_thread(visit)

        try:
            return asyncio.run(play())
        finally:
            assert not self.path.exists()
            assert not any("very-secret" in text for text in self.said)

    def fails(self) -> str:
        """What is said of a connection that does not come about."""
        assert self.run(lambda wire: wire.receive()) == b""
        (said,) = self.said
        return said


class UnixWire(Wire):
    """A wire over a unix socket, which knows no TCP_NODELAY."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.received, self.tls = sock, bytearray(), None
        self._sending = threading.Lock()
        sock.settimeout(20)


@contextlib.contextmanager
def proxied(kind: str, folder: Path) -> Iterator[str]:
    """A running proxy of some kind, as the URL that leads there."""
    if kind == "ssh":
        with ssh_socks(folder) as port:
            yield f"socks5://127.0.0.1:{port}"
    elif kind.startswith("tinyproxy"):
        login = kind.endswith("with login")
        with tinyproxy(folder, login=login) as port:
            yield f"http://{'jane:very-secret@' if login else ''}127.0.0.1:{port}"
    else:
        scheme, _, rest = kind.partition(" ")
        login = rest == "with login"
        with pproxy(
            folder, "socks5" if scheme == "socks5" else "http", login=login, leaf=LEAF if scheme == "https" else None
        ) as port:
            yield f"{scheme}://{f'{QUOTED}@' if login else ''}127.0.0.1:{port}"


KINDS = [
    "http",
    "http with login",
    "https",
    "https with login",
    "socks5",
    "socks5 with login",
    "tinyproxy",
    "tinyproxy with login",
    "ssh",
]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_both_ways(tmp_path: Path, kind: str) -> None:
    def script(wire: Wire) -> bytes:
        threading.Thread(target=wire.send, args=(BIG,)).start()
        return wire.receive_exactly(len(BIG))

    with Server(echo) as server, proxied(kind, tmp_path) as url:
        visitor = Visitor(tmp_path, url, server.port)
        assert visitor.run(script) == BIG
        assert visitor.said == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_first_and_the_end_of_it(tmp_path: Path, kind: str) -> None:
    with Server(speak_first) as server, proxied(kind, tmp_path) as url:
        assert Visitor(tmp_path, url, server.port).run(lambda wire: wire.receive_rest()) == BIG


def half_closing(tls: ssl.SSLContext | None, port: int = 0) -> Server:
    """A proxy by CONNECT that carries ends as they come, as few do."""

    def script(wire: Wire) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.receive(1)
        port = int(head.split(b" ")[1].rsplit(b":", 1)[1])
        with Wire.connect("127.0.0.1", port) as target:
            wire.send(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            back = threading.Thread(target=carry, args=(target, wire))
            back.start()
            carry(wire, target)
            back.join()

    return Server(script, port, context=tls, server_side=bool(tls))


def carry(source: Wire, sink: Wire) -> None:
    while data := source.receive():
        sink.send(data)
    sink.end()


@pytest.mark.parametrize("kind", ["ssh", "http", "https"])
def test_a_direction_that_has_ended(tmp_path: Path, kind: str) -> None:
    def script(wire: Wire) -> bytes:
        wire.send(BIG)
        wire.end()
        return wire.receive_rest()

    with Server(answer_at_the_end) as server, contextlib.ExitStack() as stack:
        if kind == "ssh":
            url = stack.enter_context(proxied(kind, tmp_path))
        else:
            proxy = stack.enter_context(half_closing(server_context(LEAF) if kind == "https" else None))
            url = f"{kind}://127.0.0.1:{proxy.port}"
        assert Visitor(tmp_path, url, server.port).run(script) == b"%d bytes" % len(BIG)


def test_a_client_that_has_gone_does_not_leave_a_connection(tmp_path: Path) -> None:
    ended = threading.Event()

    def script(wire: Wire) -> None:
        wire.receive_rest()
        # Never says that it has ended.
        wire.receive()
        time.sleep(30)

    def watch(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 x\r\n\r\n")
        while wire.receive():
            pass
        # The end of the client, and then of all.
        with contextlib.suppress(OSError):
            while True:
                wire.send(b"x")
                time.sleep(0.05)
        ended.set()

    def visit(wire: Wire) -> bytes:
        wire.send(b"hello")
        wire.close()
        assert ended.wait(5)
        return b""

    with Server(script) as server, Server(watch) as proxy:
        Visitor(tmp_path, f"http://127.0.0.1:{proxy.port}", server.port).run(visit)


def greet(wire: Wire) -> bytes:
    wire.send(b"hello")
    return wire.receive()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_names_are_resolved_by_the_proxy(tmp_path: Path, scheme: str) -> None:
    with Server(echo) as server, pproxy(tmp_path, scheme) as port:
        visitor = Visitor(tmp_path, f"{scheme}://127.0.0.1:{port}", server.port, host="localhost")
        assert visitor.run(greet) == b"hello"
        visitor = Visitor(tmp_path, f"{scheme}://127.0.0.1:{port}", server.port, host="none.invalid")
        assert visitor.run(lambda wire: wire.receive()) == b""


@pytest.mark.parametrize(
    ("scheme", "login", "said"),
    [
        ("http", "", "asks for a user name and password"),
        ("http", "jane:very-secret-wrong@", "refused the user name and password"),
        ("socks5", "", "closed the connection"),
        ("socks5", "jane:very-secret-wrong@", "refused the user name and password"),
    ],
)
def test_a_login_that_is_missing_or_wrong(tmp_path: Path, scheme: str, login: str, said: str) -> None:
    with Server(echo) as server, contextlib.ExitStack() as stack:
        # pproxy closes where tinyproxy answers 407.
        port = stack.enter_context(tinyproxy(tmp_path, login=True) if scheme == "http" else pproxy(tmp_path, scheme, login=True))
        assert said in Visitor(tmp_path, f"{scheme}://{login}127.0.0.1:{port}", server.port).fails()


def test_nothing_listens_behind_the_proxy(tmp_path: Path) -> None:
    with tinyproxy(tmp_path) as port:
        said = Visitor(tmp_path, f"http://127.0.0.1:{port}", closed_port()).fails()
    assert f"the proxy 127.0.0.1:{port} does not connect to 127.0.0.1:" in said
    assert "HTTP status 5" in said


def test_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    port = closed_port()
    said = Visitor(tmp_path, f"http://u:very-secret@127.0.0.1:{port}", 1).fails()
    assert f"127.0.0.1:1 is not reached through the proxy: nothing listens on 127.0.0.1:{port}" in said


def hear(wire: Wire) -> None:
    wire.receive_rest()


def test_a_proxy_that_does_not_answer(tmp_path: Path) -> None:
    with Server(hear) as proxy:
        began = time.monotonic()
        said = Visitor(tmp_path, f"socks5://127.0.0.1:{proxy.port}", 1, seconds=0.5).fails()
    assert time.monotonic() - began < 2
    assert "did not answer in time" in said


@pytest.mark.parametrize(
    ("answer", "scheme", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "http", "does not answer as an HTTP proxy"),
        (b"HTTP/1.1 403 No\r\n\r\n", "http", "HTTP status 403"),
        (b"HTTP/1.1 200", "http", "closed the connection"),
        (b"x" * 70000, "http", "does not answer as an HTTP proxy"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "socks5", "does not answer as a SOCKS5 proxy"),
        (b"\x05\xff", "socks5", "asks for another way to log in"),
        (b"\x05\x02\x01\x01", "socks5", "refused the user name and password"),
        (b"\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "socks5", "its rules do not allow it"),
        (b"\x05\x00\x05\x63\x00\x01", "socks5", "it says 99"),
        (b"\x05", "socks5", "closed the connection"),
        (b"plain", "https", "does not speak TLS"),
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes, scheme: str, said: str) -> None:
    def script(wire: Wire) -> None:
        wire.receive()
        wire.send(answer)
        wire.end()
        wire.receive_rest()

    with Server(script) as proxy:
        assert said in Visitor(tmp_path, f"{scheme}://u:very-secret@127.0.0.1:{proxy.port}", 6443).fails()


def test_a_proxy_in_tls_that_is_not_trusted(tmp_path: Path) -> None:
    other = forge("proxy", authority("unknown"), names=["127.0.0.1"])
    with pproxy(tmp_path, "http", leaf=other) as port:
        assert "is not trusted" in Visitor(tmp_path, f"https://127.0.0.1:{port}", 1).fails()


def test_the_same_trouble_is_told_once_until_it_is_over(tmp_path: Path) -> None:
    port, said = closed_port(), list[str]()

    async def play() -> None:
        path = tmp_path / "relay.sock"
        with Server(echo) as server:
            async with Relay(f"http://127.0.0.1:{port}", "127.0.0.1", server.port, path, say=said.append):

                async def ask() -> bytes:
                    reader, writer = await asyncio.open_unix_connection(path)
                    writer.write(b"hello")
                    found = await reader.read(5) if not reader.at_eof() else b""
                    writer.transport.abort()
                    return found

                for _ in range(3):
                    with contextlib.suppress(OSError):
                        assert await ask() == b""
                assert len(said) == 1
                with half_closing(None, port):
                    assert await ask() == b"hello"
                with contextlib.suppress(OSError):
                    await ask()
                assert len(said) == 2

    asyncio.run(play())


@pytest.mark.parametrize(
    "url", ["ftp://proxy.test", "http://", "http://[::1", "http://p:x", f"socks5://{'u' * 256}:very-secret@p.test"]
)
def test_what_is_no_proxy(tmp_path: Path, url: str) -> None:
    with pytest.raises(DialFailed) as caught:
        Relay(url, "api.test", 6443, tmp_path / "s")
    assert "very-secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_socket_that_cannot_be_made(tmp_path: Path) -> None:
    async def listen(path: Path) -> None:
        async with Relay("http://proxy.test", "api.test", 6443, path):
            raise AssertionError("it listens")

    for path, why in (
        (tmp_path / "none" / "s", "no such file"),
        (tmp_path / ("x" * 120), "too long"),
        (tmp_path, "address already in use"),
    ):
        with pytest.raises(RelayTrouble, match=why):
            asyncio.run(listen(path))
