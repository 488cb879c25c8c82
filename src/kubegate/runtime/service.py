"""What systemd is told of a gate (sd_notify(3)), and any other supervisor that sets `$NOTIFY_SOCKET`."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping

from kubegate.system.notify import notify

# Beyond the time that streams have: for a HAProxy that does not answer to be ended, and what is kept to be put away.
_END_SECONDS = 20.0


class Service:
    """Says when it serves, reloads and stops, what its state is, and, where a watchdog asks for it, that it is alive."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._ready = False
        self._said = ""

    def ready(self, status: str) -> None:
        """It serves."""
        self._ready, self._said = True, status
        self._tell("READY=1", f"STATUS={_line(status)}")

    def status(self, status: str) -> None:
        """What it does now, once it serves."""
        if self._ready and status != self._said:
            self._said = status
            self._tell(f"STATUS={_line(status)}")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """It reads its file again inside the block, because it was asked to."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._tell("READY=1")

    def stopping(self, seconds: float) -> None:
        """It ends, within so many seconds: for so long nobody needs to give it up."""
        self._ready = False
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((seconds + _END_SECONDS) * 1e6)}")

    async def keep_alive(self) -> None:
        """Say that it is alive, twice in the time that the watchdog gives; returns if there is none."""
        seconds = watchdog_seconds(self._environ)
        while seconds is not None:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(seconds / 2)

    def _tell(self, *assignments: str) -> None:
        notify("\n".join(assignments), self._environ)


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Within which time the watchdog wants to hear from this process, None if there is none (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) > 0 else None


def _line(text: str) -> str:
    """One line, for the next one would be an assignment."""
    return " ".join(text.split())
