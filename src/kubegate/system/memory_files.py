"""Files that exist in memory only and end with this process, however it ends: for secrets that others have to read by a path."""

import contextlib
import os
from pathlib import Path


class MemoryFiles:
    """Gives each content a path, `/proc/PID/fd/N`, that processes of the same user can open as long as this one lives."""

    def __init__(self) -> None:
        self._descriptors: dict[bytes, int] = {}

    def put(self, content: bytes) -> Path:
        """A path that reads as `content`; the same content has the same path. Raises OSError."""
        descriptor = self._descriptors.get(content)
        if descriptor is None:
            descriptor = os.memfd_create("kubegate", os.MFD_CLOEXEC)
            try:
                # A reader has an offset of its own, for it opens the path.
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:])
            except OSError:
                os.close(descriptor)
                raise
            self._descriptors[content] = descriptor
        return Path(f"/proc/{os.getpid()}/fd/{descriptor}")

    def keep(self, contents: set[bytes]) -> None:
        """Let go of every other content."""
        for content in self._descriptors.keys() - contents:
            os.close(self._descriptors.pop(content))

    def close(self) -> None:
        """Let go of all."""
        with contextlib.suppress(OSError):
            self.keep(set())
