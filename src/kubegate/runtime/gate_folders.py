"""Where a gate of a declared file keeps things: by the file's path, so that one that cannot be read has its place too."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.system.files import write_atomically
from kubegate.system.folders import runtime_folder, state_folder

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
    """The files of gates that run, or did until they were killed, and the run folder of each."""
    found: dict[Path, Path] = {}
    for path in sorted(runtime_folder(environ).glob(f"*/{_FILE}")):
        try:
            found[Path(json.loads(path.read_bytes())["file"])] = path.parent
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
