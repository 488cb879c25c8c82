"""Many clients at once: each asks, and asks again, on a connection of its own, until it is told to stop."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.rawh2 import Client as Client2
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Running
from tests.support.upstream import eventually

# Method, target and headers of a request, given a number that no other request has.
Ask = Callable[[int], tuple[str, str, Sequence[tuple[str, str]]]]


@dataclass(frozen=True)
class Asked:
    """One request and what came of it, and when: a status, or 0 and why where the connection ended instead.

    `begun` says that the answer had begun then.
    """

    method: str
    target: str
    status: int
    trouble: str = ""
    begun: bool = False
    moment: float = field(default_factory=time.monotonic, compare=False)


class Load:
    """Clients of a gate, sixteen by default, which use a connection again as long as they may, if they `keep` it.

    `asked` is what has been answered so far, in the order of the answers.
    """

    def __init__(
        self, gate: Running, ask: Ask, *, name: str = "one.test", version: str = "h1", clients: int = 16, keep: bool = True
    ) -> None:
        self.asked: list[Asked] = []
        self._ask = ask
        self._keep = keep
        self._name = name
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._dial = gate.dial2 if version == "h2" else gate.dial
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]

    def until(self, more: int) -> None:
        """Wait until so many more requests than now have been answered, one way or another."""
        wanted = len(self.asked) + more
        eventually(lambda: len(self.asked) >= wanted, f"{more} more answers have come")

    def stop(self) -> list[Asked]:
        """Let every client finish what it began; returns all of it."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client waits for its answer in vain"
        return self.asked

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._dial(self._name) as client:
                while not self._stopping.is_set() and self._once(client) and self._keep:
                    pass

    def _once(self, client: Client | Client2) -> bool:
        """One request; whether the connection can be used again."""
        method, target, headers = self._ask(next(self._numbers))
        try:
            answer = self._answer(client, method, target, headers)
        except (NoAnswer, OSError) as error:
            begun = isinstance(error, NoAnswer) and error.begun
            self.asked.append(Asked(method, target, 0, f"{type(client).__module__}: {error!r}", begun))
            return False
        self.asked.append(Asked(method, target, answer.status))
        told_to_go = client.told_to_go if isinstance(client, Client2) else answer.header("connection") == "close"
        return answer.status < 500 and not told_to_go

    def _answer(self, client: Client | Client2, method: str, target: str, headers: Sequence[tuple[str, str]]) -> Answer:
        body = b"{}" if method == "POST" else None
        if isinstance(client, Client2):
            fields = [(name.lower(), value) for name, value in headers]
            return client.ask(method, target, *fields, body=body or b"", host=self._name)
        lines = [f"{name}: {value}" for name, value in headers]
        return client.ask(request(method, target, *lines, host=self._name, body=body))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
