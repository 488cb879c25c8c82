"""Where kubegate keeps things: working copies in a runtime folder, what must last in a state folder. Nothing is made here."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kubegate.errors import KubegateError

# Also what systemd gives a service whose unit says `RuntimeDirectory=kubegate`.
SYSTEM_FOLDER = Path("/run/kubegate")


class NoFolder(KubegateError):
    """There is no place to keep things in."""


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """Where working copies belong: `$RUNTIME_DIRECTORY` (systemd), else below `$XDG_RUNTIME_DIR`, `/run` or `/tmp`."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0]).absolute()
    if session := _absolute(environ, "XDG_RUNTIME_DIR"):
        return session / "kubegate"
    if os.geteuid() == 0:
        return SYSTEM_FOLDER
    return Path(tempfile.gettempdir()) / f"kubegate-{os.geteuid()}"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where belongs what must outlive a run: `$STATE_DIRECTORY` (systemd), else below `$XDG_STATE_HOME` or `~/.local/state`.

    Raises NoFolder if none of them is set and this user has no home.
    """
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0]).absolute()
    base = _absolute(environ, "XDG_STATE_HOME")
    return (base or _home(environ) / ".local" / "state") / "kubegate"


def _absolute(environ: Mapping[str, str], name: str) -> Path | None:
    # Relative ones are invalid and to be ignored (XDG Base Directory Specification).
    path = Path(environ.get(name, ""))
    return path if path.is_absolute() else None


def _home(environ: Mapping[str, str]) -> Path:
    if home := _absolute(environ, "HOME"):
        return home
    try:
        return Path.home().absolute()
    except RuntimeError:
        raise NoFolder("this user has no home folder to keep the gate's certificate in", "set STATE_DIRECTORY") from None
