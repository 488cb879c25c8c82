"""What HAProxy writes to its standard error, through a named pipe: its next supervisor reads on, and nobody makes it wait."""

import asyncio
import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

_PIECE = 65536
_MOST_LINES = 200


class HAProxyOutput:
    """Reads lines as they come. `lines` are the last ones."""

    def __init__(self, path: Path, heard: Callable[[str], None]) -> None:
        self._path = path
        self._heard = heard
        self._descriptor: int | None = None
        self._begun = b""
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)

    def open(self) -> None:
        """Read from now on; the pipe is made if there is none. Raises OSError."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISFIFO(self._path.lstat().st_mode):
                self._path.unlink()
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._path, 0o600)
        # For writing too, else it would be at its end whenever HAProxy has ended.
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._descriptor, self.read)

    def writer(self) -> int:
        """A descriptor for HAProxy, which the caller closes. Without a reader, or where it is slow, what is written is lost."""
        return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)

    def read(self) -> None:
        """Take in what has come."""
        if self._descriptor is None:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, _PIECE):
                *whole, rest = (self._begun + data).split(b"\n")
                # A line without an end would grow for ever.
                self._begun = rest if len(rest) < _PIECE else b""
                for line in whole:
                    text = line.decode(errors="replace").rstrip()
                    self.lines.append(text)
                    self._heard(text)

    def close(self) -> None:
        """Read no more."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
