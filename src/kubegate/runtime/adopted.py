"""A process that this one did not start, watched all the same: by its pid and start time, and by a descriptor of it."""

import asyncio
import contextlib
import os
import signal

from kubegate.system.processes import ProcessId


class Adopted:
    """Looks like `asyncio.subprocess.Process` as far as a supervisor needs it; how it ended nobody but its parent learns."""

    def __init__(self, process: ProcessId) -> None:
        self.pid = process.pid
        self._identity = process
        # It is this process or none: the pid may have been given to another one between the look and the opening.
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.pidfd_open(process.pid)
        if not process.alive():
            self._close()

    @property
    def returncode(self) -> int | None:
        """None while it lives."""
        if self._descriptor is not None and self._identity.alive():
            return None
        return 0

    def send_signal(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError if it has ended."""
        if self._descriptor is None:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._descriptor, number)

    async def wait(self) -> int:
        """Wait for its end."""
        if self._descriptor is None:
            return 0
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        # A descriptor of its own, for several may wait at one time.
        watched = os.dup(self._descriptor)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        self._close()
        return 0

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
