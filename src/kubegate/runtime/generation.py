"""Generations: bundles on disk that `haproxy -c` accepted, and the link that says which one runs."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import CONFIG_FILE
from kubegate.runtime.binary import Binary
from kubegate.system.files import private_folder, sync_folder, write_atomically
from kubegate.system.processes import ProcessId

# A unix socket's path has at most 107 bytes, and HAProxy adds a temporary suffix of up to 14 while it binds.
_LONGEST_SOCKET_PATH = 92


class Refused(KubegateError):
    """HAProxy did not accept a generation; the previous one stays."""


class Occupied(KubegateError):
    """Another kubegate works in this folder."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An accepted bundle: its folder and the digest of what is in it."""

    folder: Path
    digest: str


class Store:
    """The working folder of one gate: its generations, sockets and lock. Everything in it goes when the gate ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        self._count = 0

    @property
    def current(self) -> Path:
        """The link to the generation that runs."""
        return self.folder / "current"

    @property
    def master_socket(self) -> Path:
        """The unix socket of HAProxy's master process."""
        return self.folder / "master.sock"

    @property
    def process_file(self) -> Path:
        """Where the identity of the running HAProxy is remembered."""
        return self.folder / "haproxy.json"

    def has_leftover(self) -> bool:
        """Whether a HAProxy runs here that a killed kubegate left behind."""
        process = ProcessId.load(self.process_file)
        return process is not None and process.alive() and not self._is_locked()

    def _is_locked(self) -> bool:
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def acquire(self) -> None:
        """Take the folder for this process. Raises Occupied, UnsafeFolder, or KubegateError if its path is too long."""
        if len(os.fsencode(self.master_socket)) > _LONGEST_SOCKET_PATH:
            raise KubegateError(
                f"the runtime folder {self.folder} has too long a path for a unix socket", "set XDG_RUNTIME_DIR to a short one"
            )
        private_folder(self.folder)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise Occupied("another kubegate serves this address", f"stop it first; its folder is {self.folder}") from None

    def clear(self) -> None:
        """Remove what an earlier run left here, its working copies of keys first of all."""
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def accept(self, bundle: Bundle, binary: Binary) -> Generation:
        """Write a bundle into a folder of its own and let HAProxy check it. Raises Refused; nothing is left then."""
        self._count += 1
        folder = self.folder / f"generation-{self._count}"
        folder.mkdir(mode=0o700)
        try:
            for name, content in bundle.files.items():
                write_atomically(folder / name, content)
            check(folder, binary)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return Generation(folder, bundle.digest)

    def switch(self, generation: Generation) -> None:
        """Make `current` point at a generation, in one step."""
        fresh = self.folder / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(generation.folder.name)
        fresh.replace(self.current)
        sync_folder(self.folder)

    def release(self) -> None:
        """Remove the whole folder, working copies of keys included, and let go of the lock."""
        if self._lock is None:
            return
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        os.close(self._lock)
        self._lock = None


def check(folder: Path, binary: Binary) -> None:
    """Let HAProxy read a generation without running it. Raises Refused with what it said."""
    asked = subprocess.run(
        [binary.path, "-c", "-q", "-C", folder, "-f", CONFIG_FILE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    if asked.returncode != 0:
        raise Refused(f"HAProxy refused the configuration: {alerts(asked.stderr)}")


def alerts(output: str) -> str:
    """What HAProxy complained about, as one line."""
    lines = [line.split(" : ", 1)[-1].strip() for line in output.splitlines() if "[ALERT]" in line]
    return "; ".join(lines) or output.strip() or "it gave no reason"
