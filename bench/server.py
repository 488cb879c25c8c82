"""An API server of streams as a process that can be killed and started again on its port."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.upstream import LOOPBACK, answers
from kubegate.model.address import Endpoint
from kubegate.system.network import free_port
from tests.support.tls import api_leaf, whole

_START_SECONDS = 20.0


class ApiServer:
    """It runs inside the block, unless it is killed."""

    def __init__(self) -> None:
        self.port = free_port(LOOPBACK)
        self._folder = tempfile.TemporaryDirectory(prefix="kg-api-")
        self._pem = Path(self._folder.name) / "api.pem"
        self._pem.write_bytes(whole(api_leaf()))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint(LOOPBACK, self.port)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = ["--port", str(self.port), "--ssl-keyfile", str(self._pem), "--ssl-certfile", str(self._pem)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "bench.streams:app", "--log-level", "critical", "--backlog", "2048", *words],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not answers(self.port):
            if not self.alive or time.monotonic() > deadline:
                raise SystemExit("the API server did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()
