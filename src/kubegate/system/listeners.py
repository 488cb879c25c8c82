"""Listening sockets of this process, which a child may inherit: TCP ports, and unix sockets that are the owner's only."""

import contextlib
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from kubegate.system.files import reason

_BACKLOG = 512
_CONNECT_SECONDS = 1.0


class Occupied(OSError):
    """Somebody else listens there, or something else is there."""


@dataclass(eq=False)
class Listening:
    """A socket that listens, and the file that stands for it if it is a unix socket; `made` is which file that was."""

    socket: socket.socket
    file: Path | None = None
    made: tuple[int, int] | None = None

    @property
    def descriptor(self) -> int:
        """Its number in this process."""
        return self.socket.fileno()

    @property
    def port(self) -> int:
        """The TCP port, 0 for a unix socket."""
        return 0 if self.file else int(self.socket.getsockname()[1])

    @property
    def shown(self) -> str:
        """The address as `kubectl proxy` prints it: `127.0.0.1:8001`, `[::]:8001`, or the path."""
        if self.file is not None:
            return str(self.file)
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def host(self) -> str:
        """The address it is bound to, empty for a unix socket."""
        return "" if self.file else str(self.socket.getsockname()[0])

    def refuse(self) -> None:
        """Take nothing new, whoever else has the socket too."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._remove()

    def close(self) -> None:
        """Let go of it, and of its file."""
        self._remove()
        self.socket.close()

    def _remove(self) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):
                # Somebody may have put another one there meanwhile.
                if self.made and self.made == _identity(self.file):
                    self.file.unlink()
            self.made = None


def tcp(host: str, port: int) -> Listening:
    """Listen on a port, 0 for a free one; an empty host is every address of the machine. Raises OSError.

    A name is resolved, and its first address is taken.
    """
    try:
        if not host and socket.has_dualstack_ipv6():
            return Listening(socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True))
        # Without a name, the wildcard address.
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return Listening(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
    except socket.gaierror:
        raise
    except OSError as error:
        # The words of the standard library repeat the address.
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None


def unix(path: Path) -> Listening:
    """Listen on a unix socket that only this user may use. One that nobody listens on is replaced.

    Raises Occupied if somebody does, or if something else stands there, and OSError.
    """
    _make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        # By its folder's descriptor, for a path may have 107 bytes only.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listening.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, reason(error), str(path)) from None
    finally:
        os.umask(before)
    return Listening(listening, path, _identity(path))


def _make_way(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Occupied("something that is no socket stands there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_CONNECT_SECONDS)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise Occupied(f"it cannot be told whether somebody listens there: {reason(error)}") from None
    raise Occupied("somebody listens there already")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
