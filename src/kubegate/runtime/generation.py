"""Generations: bundles on disk that `haproxy -c` accepted, and the link that says which one runs."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import ADMIN_SOCKET, CONFIG_FILE
from kubegate.runtime.binary import Binary
from kubegate.system.files import explained, private_folder, reason, sync_file, sync_folder, write_new
from kubegate.system.processes import ProcessId

# A unix socket's path has at most 107 bytes, and HAProxy adds a temporary suffix of up to 14 while it binds.
_LONGEST_SOCKET_PATH = 92
_CHECK_SECONDS = 60.0
_SPACE_HINT = "see that there is space, and that this user may write there"


class Refused(KubegateError):
    """HAProxy did not accept a generation; the previous one stays."""


class Occupied(KubegateError):
    """Another kubegate works in this folder."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An accepted bundle: its folder, the digest of what is in it, and what that is."""

    folder: Path
    digest: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Store:
    """The working folder of one gate: its generations, sockets and lock. Everything in it goes when the gate ends.

    Generations may be kept elsewhere, in `kept`, and then they stay, so that the next start has them.
    """

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        self.folder = folder
        self.generations = kept or folder
        self._lock: int | None = None
        self._left: ProcessId | None = None
        self._count = 0
        # What of a generation has not reached the disk; of those that are not here nobody knows.
        self._unsynced: dict[Path, frozenset[str]] = {}
        self._securing: Path | None = None

    @property
    def current(self) -> Path:
        """The link to the generation that runs."""
        return self.generations / "current"

    @property
    def last_good_link(self) -> Path:
        """The link to the generation that a start may fall back to."""
        return self.generations / "last-good"

    @property
    def master_socket(self) -> Path:
        """The unix socket of HAProxy's master process."""
        return self.folder / "master.sock"

    @property
    def admin_socket(self) -> Path:
        """The unix socket of the Runtime API of the worker that takes new connections."""
        return self.folder / ADMIN_SOCKET

    @property
    def sockets(self) -> str:
        """The folder of HAProxy's own sockets as its configuration names it."""
        return f"{self.folder}/"

    @property
    def process_file(self) -> Path:
        """Where the identity of the running HAProxy is remembered."""
        return self.folder / "haproxy.json"

    @property
    def output_pipe(self) -> Path:
        """The named pipe through which HAProxy's messages come."""
        return self.folder / "haproxy.out"

    def why_too_long(self) -> str | None:
        """Why no socket can be made here, None if one can."""
        length = len(os.fsencode(self.master_socket))
        if length <= _LONGEST_SOCKET_PATH:
            return None
        return f"the path of a unix socket in it would have {length} bytes, and {_LONGEST_SOCKET_PATH} is the limit"

    def leftover(self) -> ProcessId | None:
        """The HAProxy that a killed kubegate left running here."""
        process = self._left
        if self._lock is None:
            process = None if self.owner() else self._remembered()
        return process if process and process.alive() else None

    def _remembered(self) -> ProcessId | None:
        """The HAProxy of this folder: the remembered one, or, where that was not written in time, who has the master's socket."""
        process = ProcessId.load(self.process_file)
        return process if process and process.alive() else ProcessId.listening_on(self.master_socket)

    def owner(self) -> str | None:
        """Who works in this folder, as `pid 1`; None if nobody does."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return f"pid {os.pread(lock, 20, 0).decode(errors='replace').strip() or 'unknown'}"
        finally:
            os.close(lock)
        return None

    def acquire(self) -> None:
        """Take the folder for this process. Raises Occupied, UnsafeFolder, or FileTrouble."""
        if why := self.why_too_long():
            raise KubegateError(f"the runtime folder {self.folder} cannot be used: {why}", "set XDG_RUNTIME_DIR to a short one")
        with explained(f"the runtime folder {self.folder} cannot be made", _SPACE_HINT):
            while self._lock is None:
                self._try_to_lock()
        self._left = self._remembered()

    def _try_to_lock(self) -> None:
        private_folder(self.folder)
        path = self.folder / "lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            # Whoever had it before removes the folder at this moment.
            return
        except OSError:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have removed the folder in the meantime.
            if _is_at(lock, path):
                with contextlib.suppress(OSError):
                    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
                lock, self._lock = -1, lock
        except BlockingIOError:
            message = f"another kubegate ({self.owner() or 'which ends just now'}) serves this address"
            raise Occupied(message, f"stop it first; its folder is {self.folder}") from None
        finally:
            if lock >= 0:
                os.close(lock)

    def take_over(self) -> ProcessId | None:
        """The HAProxy that a killed kubegate left running here, from now on the caller's affair."""
        left, self._left = self.leftover(), None
        return left

    def clear(self) -> None:
        """Remove what an earlier run left here, its working copies of keys first of all. Raises FileTrouble.

        A HAProxy that was left running has read its files long ago.
        """
        with explained(f"the runtime folder {self.folder} cannot be cleared"):
            for entry in self._entries():
                _remove(entry)

    def accept(self, bundle: Bundle, binary: Binary | None, like: "Generation | None" = None) -> Generation:
        """Write a bundle into a folder of its own and let HAProxy check it. Raises Refused or FileTrouble, and leaves nothing.

        Without a `binary` nobody checks it. What is the same as in the generation `like` is not written again.
        """
        folder = self._fresh()
        unsynced = self._unsynced.get(like.folder, frozenset()) if like is not None else frozenset()
        try:
            with explained(f"the folder {self.generations} cannot be written to", _SPACE_HINT):
                # Somebody may have removed it.
                private_folder(self.generations)
                folder.mkdir(mode=0o700)
                written = set()
                for name, content in bundle.files.items():
                    if like is None or not _linked(like, folder, name, content):
                        write_new(folder / name, content)
                        written.add(name)
            self._unsynced[folder] = frozenset(written | (unsynced & bundle.files.keys()))
            if binary is not None:
                check(folder, binary)
        except BaseException:
            self._remove_generation(folder)
            raise
        return Generation(folder, bundle.digest, bundle.files)

    def _fresh(self) -> Path:
        numbers = [int(path.name.partition("-")[2]) for path in self.generations.glob("generation-*") if path.name[11:].isdigit()]
        self._count = max([self._count, *numbers]) + 1
        return self.generations / f"generation-{self._count}"

    def running(self) -> Path | None:
        """The folder of the generation that `current` names, None if there is none."""
        try:
            return self.current.resolve(strict=True)
        except OSError:
            return None

    def prune(self, needed: Collection[Path]) -> None:
        """Remove generations but the current one and those that are `needed`. What cannot be removed stays."""
        kept = {self.running(), self.last_good(), self._securing, *needed}
        for folder in self.generations.glob("generation-*"):
            if folder not in kept:
                self._remove_generation(folder)

    def discard(self, generation: Generation) -> None:
        """Remove a generation that does not run after all; where `current` names it, it names none then."""
        if self.running() == generation.folder:
            self.current.unlink(missing_ok=True)
        self._remove_generation(generation.folder)

    def _remove_generation(self, folder: Path) -> None:
        self._unsynced.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)

    def switch(self, generation: Generation) -> None:
        """Make `current` point at a generation, in one step. Raises FileTrouble."""
        with explained(f"the folder {self.generations} cannot be written to", _SPACE_HINT):
            _point(self.current, generation.folder)

    def last_good(self) -> Path | None:
        """The folder of the generation that a start may fall back to, None if there is none."""
        try:
            return self.last_good_link.resolve(strict=True)
        except OSError:
            return self.running()

    def secure(self, generation: Generation) -> None:
        """Make a generation that runs the one that a start may fall back to, also after a power cut. Raises FileTrouble.

        That takes a while, and nobody has to wait for it: HAProxy reads the files before they have reached the disk. One thread
        at a time may do it, beside the one that does everything else.
        """
        if self.generations == self.folder:
            # Nothing here outlives the gate.
            return
        folder = self._securing = generation.folder
        try:
            with explained(f"the folder {self.generations} cannot be written to", _SPACE_HINT):
                for name in self._unsynced.get(folder, generation.files):
                    sync_file(folder / name)
                sync_folder(folder)
                _point(self.last_good_link, folder)
                sync_folder(self.generations)
            self._unsynced[folder] = frozenset()
        finally:
            self._securing = None

    def release(self) -> None:
        """Remove the whole folder, working copies of keys included, and let go of the lock.

        Of a HAProxy that was left running, and that nobody took over, the identity stays.
        """
        if self._lock is None:
            return
        left = self.leftover()
        for entry in self._entries() if left else self._entries(and_process=True):
            with contextlib.suppress(OSError):
                _remove(entry)
        with contextlib.suppress(OSError):
            if left is not None:
                left.save(self.process_file)
            else:
                # The lock goes last: whoever comes next may work here from then on.
                (self.folder / "lock").unlink(missing_ok=True)
                self.folder.rmdir()
        os.close(self._lock)
        self._lock = None

    def let_go(self) -> None:
        """Let go of the lock, and leave everything for whoever comes next: HAProxy goes on with it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _entries(self, *, and_process: bool = False) -> list[Path]:
        """Everything here but the lock, and but the word on which process runs unless it is asked for."""
        kept = {"lock"} if and_process else {"lock", self.process_file.name}
        return [entry for entry in self.folder.glob("*") if entry.name not in kept]


def _linked(like: Generation, folder: Path, name: str, content: bytes) -> bool:
    if like.files.get(name) != content:
        return False
    try:
        os.link(f"{like.folder}/{name}", f"{folder}/{name}")
    except OSError:
        return False
    return True


def _point(link: Path, folder: Path) -> None:
    """Make a link beside a folder point at it, in one step."""
    fresh = link.with_name(f"{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def check(folder: Path, binary: Binary) -> None:
    """Let HAProxy read a generation without running it. Raises Refused with what it said."""
    try:
        asked = subprocess.run(
            [binary.path, "-c", "-C", folder, "-f", CONFIG_FILE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_SECONDS,
            check=False,
            # A Ctrl-C in the terminal is for kubegate alone.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        message = f"HAProxy did not say within {_CHECK_SECONDS:.0f} seconds whether it accepts the configuration"
        raise Refused(message, "is the machine overloaded?") from None
    except OSError as error:
        raise Refused(f"{binary.path} cannot be run: {reason(error)}") from None
    if asked.returncode != 0:
        raise Refused(f"HAProxy refused the configuration: {alerts(asked.stderr)}")


def alerts(output: str) -> str:
    """What HAProxy complained about, as one line."""
    lines = [line.split(" : ", 1)[-1].strip() for line in output.splitlines() if "[ALERT]" in line]
    return "; ".join(lines) or output.strip() or "it gave no reason"
