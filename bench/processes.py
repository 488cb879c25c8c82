"""Processes that are measured: CPU time and memory of a process and all its children, threads included."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

_START_SECONDS = 20.0
_END_SECONDS = 15.0


def tree(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_ns(pid: int) -> int:
    """CPU time so far, in ns, of every thread of the tree that runs (proc(5), `schedstat`)."""
    total = 0
    for process in tree(pid):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total


def cpu_with_ended(pid: int) -> float:
    """CPU time so far, in seconds, of the tree that runs and of those that it has seen end; in steps of a clock tick."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def resident(pid: int) -> list[int]:
    """Resident memory of a process, and then of each below it that still runs, in bytes."""
    found = []
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(int(process.memory_info().rss))
    return found


def memory(pid: int) -> int:
    """Resident memory of the tree, in bytes."""
    return sum(resident(pid))


@contextlib.contextmanager
def running(argv: Sequence[str | Path], ready: Callable[[], bool], **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until the end of the block, once `ready` says so. Raises SystemExit with its words if it does not."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environ},
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    raise SystemExit(f"{Path(argv[-1]).name} did not start: {output.read().decode(errors='replace')}")
                time.sleep(0.02)
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; kill it where asking does not help."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
