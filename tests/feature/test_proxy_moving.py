"""The API server of a context becomes another one while `kubegate proxy` still looks for the one before."""

import socket
import threading
import time

import pytest
import yaml

from tests.support.expose import Home, kubeconfig
from tests.support.proxy import proxying
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy


class Slow(Upstream):
    """Takes connections, and says nothing on them until the gate is opened."""

    def __post_init__(self) -> None:
        self.gate = threading.Event()
        super().__post_init__()

    @property
    def taken(self) -> int:
        """How many connections were taken."""
        return len(self._sockets)

    def _serve(self, connection: socket.socket) -> None:
        self.gate.wait(20)
        super()._serve(connection)


def test_a_late_answer_of_the_server_before_gets_no_credential_of_the_next(person: Home, upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = kubeconfig(person.path / "config", f"https://127.0.0.1:{port}", user={"token": "token-of-before"})
    with proxying("--kubeconfig", str(file), "--port=0", home=person) as proxy, Slow(port=port) as before:
        # Somebody looks whether it is there now, and waits.
        eventually(lambda: before.taken)
        kubeconfig(file, f"https://127.0.0.1:{upstream.port}", user={"token": "token-of-the-next"})
        eventually(lambda: proxy.ask("/api/v1/moved").status == 200)
        before.gate.set()
        before.wait_until(lambda: before.wires)
        for _ in range(10):
            assert proxy.ask("/api/v1/moved").json["server"] == upstream.port
            time.sleep(0.1)
        assert b"token" not in before.received()
        assert upstream.seen("/api/v1/moved")[-1].values("authorization") == ["Bearer token-of-the-next"]


def test_nor_while_the_next_is_looked_for_and_another_context_changes(person: Home, upstream: Upstream) -> None:
    with Upstream() as before, Slow() as after:
        file = kubeconfig(person.path / "config", f"https://127.0.0.1:{before.port}", user={"token": "token-of-before"})
        other = kubeconfig(person.path / "other", f"https://127.0.0.1:{upstream.port}", context="other")
        document = yaml.safe_load(other.read_text())
        document["clusters"][0]["name"] = document["contexts"][0]["context"]["cluster"] = "there"
        document["users"][0]["name"] = document["contexts"][0]["context"]["user"] = "you"

        def last() -> list[str]:
            return upstream.seen("/api/v1/moved")[-1].values("authorization")

        def turn(token: str) -> None:
            document["users"][0]["user"]["token"] = token
            other.write_text(yaml.safe_dump(document))

        turn("first")
        with proxying("--also-context=other", "--port=0", home=person, extra={"KUBECONFIG": f"{file}:{other}"}) as proxy:
            assert proxy.ask("/api/v1/moved").json["server"] == before.port
            kubeconfig(file, f"https://127.0.0.1:{after.port}", user={"token": "token-of-the-next"})
            eventually(lambda: after.taken)
            turn("second")
            path = "/clusters/other/api/v1/moved"
            eventually(lambda: proxy.ask(path) and last() == ["Bearer second"])
            assert proxy.ask("/api/v1/moved").status == 503
            assert b"token-of-the-next" not in before.received()
            after.gate.set()
            eventually(lambda: proxy.ask("/api/v1/moved").status == 200)
