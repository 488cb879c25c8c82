"""`kubegate proxy` for a cluster that is reached through a proxy: requests and upgrades take it, as kubectl's upgrades do not."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.expose import Home, kubeconfig
from tests.support.forge import forge
from tests.support.proxy import WEBSOCKET, proxying
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually, websocket

pytestmark = pytest.mark.haproxy


class ConnectProxy:
    """A proxy that speaks CONNECT, and leads everybody to one server; `asked` is who was asked for."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                client.close()
                return
            head += data
        self.asked.append(head.split(b"\r\n")[0].decode())
        server = socket.create_connection(("127.0.0.1", self._to))
        self._sockets += [client, server]
        client.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
        threads = [threading.Thread(target=carry, args=pair, daemon=True) for pair in ((client, server), (server, client))]
        for thread in threads:
            thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def carry(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)


@pytest.fixture
def by_name() -> Iterator[Upstream]:
    """A server whose name this machine does not resolve."""

    def script(exchange: Exchange) -> None:
        websocket(exchange)
        data = b""
        while more := exchange.receive():
            data += more
        exchange.wire.send(b"got " + data)
        exchange.leave()

    leaf = forge("api", cluster_authority(), names=["api.far.invalid", API_NAME, "192.0.2.10"])
    with Upstream(leaf=leaf) as upstream:
        upstream.at("/up", script)
        yield upstream


@pytest.mark.parametrize("host", ["api.far.invalid", "192.0.2.10"])
@pytest.mark.parametrize("how", ["proxy-url", "HTTPS_PROXY", "--proxy-url"])
def test_requests_and_upgrades_take_it(person: Home, by_name: Upstream, host: str, how: str) -> None:
    proxy = ConnectProxy(by_name.port)
    url = f"http://127.0.0.1:{proxy.port}"
    cluster = {"proxy-url": url} if how == "proxy-url" else None
    config = str(kubeconfig(person.path / "config", f"https://{host}:6443", cluster=cluster))
    extra = {"HTTPS_PROXY": url} if how == "HTTPS_PROXY" else None
    flags = (f"--proxy-url={url}",) if how == "--proxy-url" else ()
    try:
        with proxying("--kubeconfig", config, "-p0", *flags, home=person, extra=extra) as running:
            eventually(lambda: running.ask("/version").status == 200)
            assert by_name.seen("/version")[-1].values("host") == [f"{host}:6443"]
            with running.dial() as client:
                assert client.ask(request("GET", "/up", *WEBSOCKET, host="localhost")).status == 101
                client.wire.send(b"bytes")
                client.wire.end()
                assert client.rest() == b"got bytes"
        assert set(proxy.asked) == {f"CONNECT {host}:6443 HTTP/1.1"}
        assert len(proxy.asked) >= 2
    finally:
        proxy.close()


def test_a_proxy_that_is_not_there_is_503(person: Home, by_name: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cluster = {"proxy-url": f"http://127.0.0.1:{port}"}
    config = str(kubeconfig(person.path / "config", f"https://api.far.invalid:{by_name.port}", cluster=cluster))
    with proxying("--kubeconfig", config, "-p0", home=person) as running:
        answer = running.ask("/version")
        assert (answer.status, answer.json["kind"]) == (503, "Status")
