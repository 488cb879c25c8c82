"""What Marathon would do with an application, as far as it can be done here: its line, run with the folder mounted as it says."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "marathon-1.6-AppDefinition.schema.json").read_text())

# A mount namespace in place of the container: nothing is there but the set, which cannot be written to.
_MOUNT = """
set -e
mount -t tmpfs tmpfs "$(dirname "$1")"
mkdir "$1"
mount --bind "$2" "$1"
mount -o remount,ro,bind "$1"
shift 2
exec "$@"
"""


@contextlib.contextmanager
def started(app: dict[str, Any], folder: Path, haproxy: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The line of an application, run by this HAProxy as root in the foreground, with the set mounted as it says."""
    [volume] = app["container"]["volumes"]
    name, *rest = app["args"]
    assert name == "haproxy"
    # Its parent is there on every machine, and empty enough.
    Path(volume["containerPath"]).parent.mkdir(parents=True, exist_ok=True)
    line = [str(haproxy), "-db", *rest]
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh", volume["containerPath"], str(folder), *line],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
