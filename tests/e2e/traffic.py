"""What goes on through a gate while something happens to it: clients that ask again and again, and watchers that miss nothing."""

import functools
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from tests.e2e.declared import DeclaredGate

_PATH = "/api/v1/namespaces/dev/configmaps"
_PATIENCE_SECONDS = 60.0


def connected(gate: DeclaredGate, cluster: str, account: str = "developer", *, http2: bool = False) -> httpx.Client:
    """A client of one cluster, by its name, which repeats nothing."""
    context = ssl.create_default_context(cadata=gate.authority(cluster).decode())
    token = gate.clusters[cluster].accounts[account].token
    client = httpx.Client(
        verify=context,
        http1=not http2,
        http2=http2,
        base_url=f"https://127.0.0.1:{gate.port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=_PATIENCE_SECONDS,
        trust_env=False,
    )
    client.event_hooks = {"request": [lambda request: request.extensions.update(sni_hostname=gate.name(cluster))]}
    return client


class Asking:
    """Clients of one cluster that ask until the end of the block; `failed` is whatever was not answered as it should be."""

    def __init__(self, gate: DeclaredGate, cluster: str, *, http2: bool, clients: int = 2) -> None:
        self.asked = 0
        self.failed: list[str] = []
        self._open: Callable[[], httpx.Client] = functools.partial(connected, gate, cluster, http2=http2)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]

    def _work(self) -> None:
        with self._open() as client:
            while not self._stopping.wait(0.02):
                self.asked += 1
                try:
                    answer = client.get(_PATH, params={"limit": 1})
                    if answer.status_code != 200:
                        self.failed.append(f"{answer.status_code}: {answer.text[:300]}")
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
