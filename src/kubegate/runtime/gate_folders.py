"""Where a gate of a declared file keeps things: by the file's path, so that one that cannot be read has its place too."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.system.files import write_atomically
from kubegate.system.folders import SYSTEM_FOLDER, runtime_folder, state_folder

CONTROL_SOCKET = "control.sock"
_FILE = "gate.json"


@dataclass(frozen=True, slots=True)
class GateFolders:
    """`run` holds sockets and goes when the gate is stopped; `kept` holds its generations, keys among them, and stays."""

    run: Path
    kept: Path
    state: Path

    @property
    def control_socket(self) -> Path:
        """The unix socket on which the control plane answers."""
        return self.run / CONTROL_SOCKET


def folders_of(file: Path, environ: Mapping[str, str] = os.environ) -> GateFolders:
    """The folders of the gate that `file` declares. Nothing is made. Raises NoFolder."""
    path = Path(os.path.abspath(file))  # noqa: PTH100 - links stay, for what they lead to may change
    stem = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:24] or "gate"
    name = f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    state = state_folder(environ)
    return GateFolders(runtime_folder(environ) / name, state / "gates" / name, state)


def remember(folders: GateFolders, file: Path) -> None:
    """Keep in the run folder which file the gate there is declared by. Raises OSError."""
    write_atomically(folders.run / _FILE, json.dumps({"file": os.path.abspath(file)}).encode())  # noqa: PTH100


def running(environ: Mapping[str, str] = os.environ) -> dict[Path, Path]:
    """The files of gates that run, or did until they were killed, and the run folder of each: this user's, and the system's."""
    found: dict[Path, Path] = {}
    for place in places(environ):
        with contextlib.suppress(OSError):
            for path in sorted(place.glob(f"*/{_FILE}")):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    found.setdefault(Path(json.loads(path.read_bytes())["file"]), path.parent)
    return found


def run_folder(file: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The run folder of the gate that `file` declares, wherever it was started. Raises NoFolder."""
    own = folders_of(file, environ).run
    others = (place / own.name for place in places(environ))
    return next((folder for folder in others if _is_there(folder / _FILE)), own)


def places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where run folders may be: where this user's are, and those of services, which have their own environment."""
    return tuple(dict.fromkeys((runtime_folder(environ), SYSTEM_FOLDER)))


def _is_there(path: Path) -> bool:
    """Whether something is there, be it that somebody else may look at it and this user may not."""
    try:
        return path.exists()
    except PermissionError:
        return True
