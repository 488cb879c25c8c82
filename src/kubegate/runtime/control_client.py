"""Asking a running gate: which one a person means, and what it says on its socket."""

import socket
from collections.abc import Mapping
from pathlib import Path

import httpx

from kubegate.errors import KubegateError
from kubegate.model.gate_status import GateStatus
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.gate_folders import CONTROL_SOCKET, folders_of, running

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
    folder = folders_of(file, environ).run if file is not None else _only(environ)
    control = str(folder / CONTROL_SOCKET)
    try:
        # httpx leaves its socket open where nobody listens.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.connect(control)
    except OSError:
        what = f"of {file}" if file is not None else f"in {folder}"
        raise NotRunning(f"the gate {what} does not run, or belongs to another user", "start it: kubegate run -c FILE") from None
    transport = httpx.HTTPTransport(uds=control)
    try:
        with httpx.Client(transport=transport, timeout=seconds, trust_env=False) as client:
            answer = client.request(method, f"http://gate{path}")
            answer.raise_for_status()
            return GateStatus.model_validate_json(answer.content)
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise NotRunning(f"the gate does not answer as expected: {type(error).__name__}", "is it of the same version?") from None


def _only(environ: Mapping[str, str]) -> Path:
    found = running(environ)
    if not found:
        raise NotRunning("no gate of a declared file runs here", "start one: kubegate run -c FILE")
    if len(found) > 1:
        names = ", ".join(str(file) for file in found)
        raise InvalidInput([Problem("--config", "gate.many", f"several gates run here: {names}", "say which one: -c FILE")])
    return next(iter(found.values()))
