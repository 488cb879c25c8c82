"""Waiting for something to become true, with a deadline and a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process

T = TypeVar("T")

INTERVAL = 0.05


def until(check: Callable[[], T | None], what: str, *, timeout: float = 120, process: Process | None = None) -> T:
    """Asks `check` until it answers something true; a `process` that ends meanwhile is reported with its last words."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if process is not None and not process.alive():
            raise ClusterError(f"{process.name} ended while the cluster waited until {what}:\n{process.last_words()}")
        if time.monotonic() > deadline:
            words = f" Last words of {process.name}:\n{process.last_words()}" if process else ""
            raise ClusterError(f"Waited {timeout:.0f} s in vain until {what}.{words}")
        time.sleep(INTERVAL)
