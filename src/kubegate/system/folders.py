"""Where kubegate keeps things: working copies in a runtime folder, what must last in a state folder."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kubegate.system.files import private_folder


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """The 0700 folder of working copies: `$RUNTIME_DIRECTORY` (systemd), else below `$XDG_RUNTIME_DIR`, `/run` or `/tmp`."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return private_folder(Path(given.split(":")[0]))
    if session := environ.get("XDG_RUNTIME_DIR"):
        return private_folder(Path(session) / "kubegate")
    if os.geteuid() == 0:
        return private_folder(Path("/run/kubegate"))
    return private_folder(Path(tempfile.gettempdir()) / f"kubegate-{os.geteuid()}")


def state_folder(environ: Mapping[str, str]) -> Path:
    """The 0700 folder of what must outlive a run: `$STATE_DIRECTORY` (systemd), else below `$XDG_STATE_HOME`."""
    if given := environ.get("STATE_DIRECTORY"):
        return private_folder(Path(given.split(":")[0]))
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local" / "state")
    return private_folder(Path(base) / "kubegate")
