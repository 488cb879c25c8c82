"""Programs of other projects that tests run: each built once from its Go module, kept in the user's cache folder by version."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.requirements import GO_WISH


@dataclass(frozen=True)
class GoProgram:
    """The main package of a module, and its version."""

    package: str
    version: str

    @property
    def name(self) -> str:
        return self.package.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Where it is once it is built."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = f"{self.name}-{self.version}-{platform.machine()}"
        return cache / "kubegate" / "tests" / folder / self.name


CONTOUR = GoProgram("github.com/projectcontour/contour/cmd/contour", "v1.33.8")
HELM = GoProgram("helm.sh/helm/v4/cmd/helm", "v4.3.1")
PROGRAMS = (CONTOUR, HELM)


def missing() -> bool:
    """Whether one of them is still to be built."""
    return not all(program.path.exists() for program in PROGRAMS)


def built(program: GoProgram, progress: Callable[[str], None]) -> Path:
    """The program, built now if need be: some two minutes on two cores.  Raises ClusterError."""
    if program.path.exists():
        return program.path
    cache = program.path.parent.parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.path.exists():
            progress(f"building {program.name} {program.version}: once, some two minutes on two cores")
            _build(program)
    return program.path


def _build(program: GoProgram) -> None:
    draft = Path(tempfile.mkdtemp(prefix=".building-", dir=program.path.parent.parent))
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(draft), "GOFLAGS": "-trimpath -buildvcs=false"}
    argv = ["go", "install", "-ldflags", "-s -w", f"{program.package}@{program.version}"]
    try:
        done = subprocess.run(argv, env=environment, cwd=draft, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"The build of {program.name} failed: {done.stderr.strip()[-2000:]}")
        draft.chmod(0o755)
        draft.rename(program.path.parent)
    except FileNotFoundError:
        raise ClusterError(f"{program.name} has to be built: {GO_WISH}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
