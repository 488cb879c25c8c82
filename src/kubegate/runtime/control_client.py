"""Asking a running gate: which one a person means, and what it says on its socket."""

import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.model.gate_status import GateStatus
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.gate_folders import CONTROL_SOCKET, folders_of, running
from kubegate.system.files import reason

_STATUS_SECONDS = 30.0
_RELOAD_SECONDS = 120.0


class NotRunning(KubegateError):
    """No gate answers."""


def status(file: Path | None, environ: Mapping[str, str]) -> GateStatus:
    """The status of the gate that `file` declares, or of the only one that runs. Raises NotRunning or InvalidInput."""
    return _ask("GET", "/status", file, environ, _STATUS_SECONDS)


def reload(file: Path | None, environ: Mapping[str, str]) -> GateStatus:
    """Let the gate look at everything again, and wait until it has. Raises NotRunning or InvalidInput."""
    return _ask("POST", "/reload", file, environ, _RELOAD_SECONDS)


def _ask(method: str, path: str, file: Path | None, environ: Mapping[str, str], seconds: float) -> GateStatus:
    if file is None:
        file, folder = _only(environ)
    else:
        folder = folders_of(file, environ).run
    shown = printable(str(file))
    connection = _Connection(folder / CONTROL_SOCKET, seconds)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise NotRunning(f"the gate of {shown} answers with status {answer.status}", "its log says why")
        return GateStatus.model_validate_json(content)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(f"no gate runs by {shown}", f"start it: kubegate run -c {shown}") from None
    except PermissionError:
        hint = f"ask as that user, or as root: sudo kubegate status -c {shown}"
        raise NotRunning(f"the gate of {shown} belongs to another user ({folder} may not be read)", hint) from None
    except TimeoutError:
        raise NotRunning(f"the gate of {shown} did not answer within {seconds:.0f} seconds", "its log says why") from None
    except OSError as error:
        raise NotRunning(f"the gate of {shown} does not answer: {reason(error)}", "its log says why") from None
    except (http.client.HTTPException, ValueError):
        message = f"the gate of {shown} does not answer as this version of kubegate expects"
        raise NotRunning(message, "is it of another version? restart it") from None
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("gate", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        # By way of its folder's descriptor, for a unix socket's path may have 107 bytes only.
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def _only(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """The file and the run folder of the only gate that runs."""
    found = running(environ)
    if not found:
        raise NotRunning("no gate of a declared file runs here", "start one: kubegate run -c FILE")
    if len(found) > 1:
        names = ", ".join(printable(str(file)) for file in found)
        raise InvalidInput([Problem("--config", "gate.many", f"several gates run here: {names}", "say which one: -c FILE")])
    return next(iter(found.items()))
