"""Asking a running gate: which one a person means, and what it says on its socket."""

import http.client
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from kubegate.errors import KubegateError
from kubegate.model.gate_status import GateStatus, Rehearsal, Reloaded
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.gate_folders import CONTROL_SOCKET, run_folder, running
from kubegate.runtime.generation import Store
from kubegate.system.files import reason

_STATUS_SECONDS = 30.0
_REHEARSAL_SECONDS = 60.0
_RELOAD_SECONDS = 120.0
_UNPROCESSABLE = 422
Facts = TypeVar("Facts", bound=BaseModel)


class NotRunning(KubegateError):
    """No gate answers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The gate that is asked: its file and its run folder."""

    file: Path
    folder: Path

    @property
    def shown(self) -> str:
        """The file, for people."""
        return printable(str(self.file))

    def answers(self) -> bool:
        """Whether somebody listens on its socket."""
        connection = _Connection(self.folder / CONTROL_SOCKET, _STATUS_SECONDS)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def ask(self, method: str, path: str, seconds: float, body: Mapping[str, object] | None = None) -> bytes:
        """One question. Raises NotRunning, or InvalidInput with the problems of what it was asked about."""
        connection = _Connection(self.folder / CONTROL_SOCKET, seconds)
        try:
            connection.request(method, path, body=json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        except OSError as error:
            raise self._silent(error, seconds) from None
        except http.client.HTTPException:
            raise self.strange() from None
        finally:
            connection.close()
        if status == _UNPROCESSABLE:
            raise InvalidInput(_problems(content))
        if status != 200:
            raise NotRunning(f"the gate of {self.shown} answers with status {status}", "what it said itself tells why")
        return content

    def _silent(self, error: OSError, seconds: float) -> NotRunning:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            store = Store(self.folder)
            if owner := store.owner():
                return NotRunning(f"the gate of {self.shown} is being started or stopped ({owner})", "ask again in a moment")
            if (left := store.leftover()) is not None:
                message = f"the control plane of the gate of {self.shown} does not run; its HAProxy (pid {left.pid}) serves on"
                return NotRunning(message, f"kubegate run -c {self.shown} takes it over")
            return NotRunning(f"no gate runs by {self.shown}", f"start it: kubegate run -c {self.shown}")
        if isinstance(error, PermissionError):
            message = f"no gate of this user runs by {self.shown}, and {self.folder.parent}, where one may be, belongs to another"
            return NotRunning(message, f"ask as that user: sudo kubegate status -c {self.shown}")
        said = (
            f"did not answer within {seconds:.0f} seconds" if isinstance(error, TimeoutError) else f"broke off: {reason(error)}"
        )
        return NotRunning(f"the gate of {self.shown} {said}", "what it said itself may tell why; ask again")

    def strange(self) -> NotRunning:
        """It said something that cannot be understood."""
        return NotRunning(
            f"the gate of {self.shown} does not answer as this version of kubegate expects",
            "is it of another version? restart it",
        )


def status(file: Path | None, environ: Mapping[str, str]) -> GateStatus:
    """The status of the gate that `file` declares, or of the only one that runs. Raises NotRunning or InvalidInput."""
    asked = find(file, environ)
    return _read(asked, GateStatus, asked.ask("GET", "/status", _STATUS_SECONDS))


def reload(file: Path | None, environ: Mapping[str, str]) -> Reloaded:
    """Let the gate look at everything again, and wait until it has. Raises NotRunning or InvalidInput."""
    asked = find(file, environ)
    return _read(asked, Reloaded, asked.ask("POST", "/reload", _RELOAD_SECONDS))


def rehearse(asked: Asked, file: Path, *, keys: bool = False) -> Rehearsal:
    """What `file` would change in a gate. Raises NotRunning, or InvalidInput with every problem of the file."""
    body = {"file": os.path.abspath(file), "shown": str(file), "keys": keys}  # noqa: PTH100
    return _read(asked, Rehearsal, asked.ask("POST", "/rehearsal", _REHEARSAL_SECONDS, body))


def find(file: Path | None, environ: Mapping[str, str]) -> Asked:
    """The gate that `file` declares, or the only one that runs. Raises NotRunning, or InvalidInput if there are several."""
    if file is not None:
        return Asked(file, run_folder(file, environ))
    known = [Asked(path, folder) for path, folder in sorted(running(environ).items())]
    if len(known) == 1:
        return known[0]
    found = [one for one in known if one.answers()]
    names = ", ".join(one.shown for one in found or known)
    if len(found) > 1:
        raise InvalidInput([Problem("--config", "gate.many", f"several gates run here: {names}", "say which one: -c FILE")])
    if not found:
        last = f"; those of {names} did" if names else ""
        hint = "start one: kubegate run -c FILE"
        raise NotRunning(
            f"no gate of a declared file runs here{last}", hint if not os.geteuid() else f"{hint}; or ask as its user"
        )
    return found[0]


def _read(asked: Asked, kind: type[Facts], content: bytes) -> Facts:
    try:
        return kind.model_validate_json(content)
    except ValueError:
        raise asked.strange() from None


def _problems(content: bytes) -> list[Problem]:
    return [Problem(**one) for one in json.loads(content)["problems"]]


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("gate", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        # By way of its folder's descriptor, for a unix socket's path may have 107 bytes only.
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
