"""Commands of a page of the documentation, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.support.expose import Home

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
    """The shell commands of a page, block by block."""
    return _BLOCK.findall((DOCS / page).read_text())


def follow(page: str, cluster: Cluster, person: Home, folder: Path, **extra: str) -> list[str]:
    """Run every block of a page in this folder, one after another, and return what each printed. Each must end well."""
    commands = f"{Path(sys.executable).parent}{os.pathsep}{cluster.binaries}{os.pathsep}{os.environ['PATH']}"
    environ = person.environ({"PATH": commands, **extra})
    said = []
    for block in blocks(page):
        done = subprocess.run(
            ["sh", "-eux", "-c", block],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    return said
