"""What a HAProxy needs besides its files: which program it is, and the access log, which is its standard output.

Both are kept, for a gate may have to start when its declaration cannot be read.
"""

import contextlib
import json
import os
from pathlib import Path

from kubegate.model.config import Config
from kubegate.system.files import explained, write_atomically

_FILE = "launch.json"


class Launch:
    """`program` is the declared one, None where any will do; `log` a descriptor of the access log, None where there is none."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._log_file: Path | None = None
        self._kept: dict[str, str] = {}
        self.program: Path | None = None
        self.log: int | None = None

    def declare(self, config: Config) -> None:
        """As it is declared. Raises FileTrouble if the access log cannot be opened."""
        self.program = config.data_plane.haproxy
        if config.access_log is None or self.log is not None:
            return
        what = f"the access log {config.access_log} cannot be opened"
        with explained(what, "check the path, and that this user may write there"):
            self._open(config.access_log)

    def recall(self) -> None:
        """As it last was, as far as that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            kept = json.loads(self._file.read_bytes())
            self.program = Path(kept["program"]) if kept.get("program") else None
            if kept.get("log") and self.log is None:
                self._open(Path(kept["log"]))

    def keep(self) -> None:
        """Remember it for `recall`. Raises OSError."""
        known = {"program": str(self.program or ""), "log": str(self._log_file or "")}
        if known != self._kept:
            write_atomically(self._file, json.dumps(known).encode())
            self._kept = known

    def output(self) -> int | None:
        """The access log for a HAProxy that is about to start: what it writes comes behind what is there."""
        if self.log is not None:
            # HAProxy makes its output non-blocking and forgets that it appends, so the place from which it goes on counts.
            with contextlib.suppress(OSError):
                os.lseek(self.log, 0, os.SEEK_END)
        return self.log

    def close(self) -> None:
        """Let go of the access log."""
        if self.log is not None:
            os.close(self.log)
            self.log = None

    def _open(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.log = os.open(path, flags, 0o600)
        self._log_file = path
