"""The Kubernetes programs: built once from Go modules, kept in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import versions
from tests.cluster.errors import ClusterError
from tests.cluster.requirements import GO_WISH

PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
SOURCES = ("go.mod", "go.sum", "main.go")
BINARY = "k8s-harness"


def cached() -> Path | None:
    """The folder with the programs, if they are built."""
    folder = _folder()
    return folder if (folder / BINARY).exists() else None


def programs(progress: Callable[[str], None]) -> Path:
    """The folder with the programs, built now if need be: some ten minutes on two cores."""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent, progress):
        if cached() is None:
            _build(folder, progress)
    return folder


def _folder() -> Path:
    digest = hashlib.sha256(platform.machine().encode())
    for name in SOURCES:
        digest.update((versions.HARNESS / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kubegate" / "tests" / f"kubernetes-{versions.version()}-{digest.hexdigest()[:12]}"


@contextmanager
def _alone(folder: Path, progress: Callable[[str], None]) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process builds Kubernetes: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, progress: Callable[[str], None]) -> None:
    progress(f"building Kubernetes {versions.version()} into {folder}: once, some ten minutes on two cores")
    draft = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        _compile(draft / BINARY, progress)
        for name in PROGRAMS:
            (draft / name).symlink_to(BINARY)
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _compile(output: Path, progress: Callable[[str], None]) -> None:
    started = time.monotonic()
    environment = os.environ | {"CGO_ENABLED": "0"}
    # -v names each package as it is compiled; with modules still to fetch, it names those first.
    argv = ["go", "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", _linker_flags()]
    argv += ["-o", str(output), "."]
    last_words: deque[str] = deque(maxlen=20)
    compiled, spoken = 0, started
    with subprocess.Popen(
        argv, cwd=versions.HARNESS, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as compiler:
        assert compiler.stderr is not None
        try:
            for line in compiler.stderr:
                last_words.append(line.rstrip())
                compiled += not line.startswith("go: ")
                if time.monotonic() - spoken > 10:
                    spoken = time.monotonic()
                    progress(f"  {spoken - started:.0f} s, {compiled} packages compiled, now {line.strip()}")
        except BaseException:
            compiler.kill()
            raise
    if compiler.returncode:
        words = "\n".join(last_words)
        hint = f" The cluster needs {GO_WISH}." if re.search(r"requires go|invalid go version", words) else ""
        raise ClusterError(f"The build of Kubernetes failed.{hint}\n{words}")
    progress(f"built in {time.monotonic() - started:.0f} s")


def _linker_flags() -> str:
    wanted = versions.version()
    major, minor, _ = wanted.split(".", 2)
    values = {"gitVersion": f"v{wanted}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())])
