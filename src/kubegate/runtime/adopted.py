"""A process that is supervised, whoever started it: known by pid and start time, and watched by a descriptor of it.

The end of its supervisor does it no harm. An asyncio subprocess cannot promise that: it is killed with its transport.
"""

import asyncio
import contextlib
import os
import signal
import subprocess

from kubegate.system.processes import ProcessId


class Adopted:
    """A process that this one did not start."""

    def __init__(self, process: ProcessId) -> None:
        self.pid = process.pid
        self.identity = process
        self._ended: asyncio.Event | None = None
        # It is this process or none: the pid may have been given to another one between the look and the opening.
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.pidfd_open(process.pid)
        if not process.alive():
            self.close()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._descriptor is not None and self.identity.alive()

    def send_signal(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError if it has ended."""
        if self._descriptor is None:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._descriptor, number)

    async def wait(self) -> int | None:
        """Wait for its end; returns the code with which it ended, None if only its parent knows."""
        if self._descriptor is not None:
            if self._ended is None:
                self._ended = asyncio.Event()
                asyncio.get_running_loop().add_reader(self._descriptor, self._note_end)
            await self._ended.wait()
        return self._code()

    def close(self) -> None:
        """Watch it no more."""
        if self._descriptor is None:
            return
        if self._ended is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._ended.set()
        os.close(self._descriptor)
        self._descriptor = None

    def _note_end(self) -> None:
        self.close()

    def _code(self) -> int | None:
        return None


class Started(Adopted):
    """A child of this process."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        super().__init__(ProcessId.of(child.pid))

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    def _code(self) -> int | None:
        return self._child.poll()
