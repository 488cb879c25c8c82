"""This machine: its cores, and what it is to be called beside the figures."""

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """One core for the load, one for the gate, and a third one for the API server where there is one."""

    load: int
    gate: int
    upstream: int

    @classmethod
    def choose(cls) -> "Cores":
        """Of the cores that this process may use. Raises SystemExit if there is only one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise SystemExit("the measurements need two cores: one for the gate, one for the load and the API server")
        return cls(load=cores[0], gate=cores[1], upstream=cores[2] if len(cores) > 2 else cores[0])


def on_core(core: int) -> tuple[str, ...]:
    """What stands before a command line that is to run on one core."""
    return ("taskset", "--cpu-list", str(core))


def open_files() -> int:
    """How many files a process may open at most; the soft limit is raised to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(hard, 100_000) if hard != resource.RLIM_INFINITY else 100_000


def describe() -> str:
    """Processor, cores, memory, kernel and the load of others, in one sentence."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"
