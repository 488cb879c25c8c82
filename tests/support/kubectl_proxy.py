"""The real `kubectl proxy` of the test cluster's version, in front of an upstream that records, without any credential."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.cluster import build
from tests.support import rawhttp
from tests.support.upstream import Upstream


def kubectl() -> Path:
    """The program: the one that was built for the cluster, else the machine's."""
    built = build.cached()
    found = built / "kubectl" if built else shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl is not installed: make test installs what the tests need")
    return Path(found)


def run(*flags: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """`kubectl proxy` with flags by which it does not start."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [kubectl(), "proxy", "--port=0", *flags],
            env=_environment(home),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


class KubectlProxy:
    """Runs inside its block."""

    def __init__(self, upstream: Upstream, *flags: str) -> None:
        self.upstream = upstream
        self._flags = flags
        self._home = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        server = f"--server=http://{self.upstream.endpoint}"
        self._process = subprocess.Popen(
            [kubectl(), "proxy", "--port=0", server, *self._flags],
            env=_environment(self._home.name),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.fullmatch(r"Starting to serve on 127\.0\.0\.1:(\d+)\n", said)
        assert found, said
        self.port = int(found[1])
        return self

    def once(self, data: bytes) -> rawhttp.Answer:
        """One request on a connection of its own."""
        with rawhttp.Client.connect("127.0.0.1", self.port) as client:
            return client.ask(data)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)
        self._home.cleanup()


def _environment(home: str) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": home, "KUBECONFIG": f"{home}/none"}
