"""An API server of tests in a process of its own, which can be killed as processes are."""

import json
import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from kubegate.model.address import Endpoint
from tests.support.forge import serving
from tests.support.tls import api_leaf, whole
from tests.support.upstream import Exchange, Upstream, answer_ok

HELD = "/held/"


class Separate:
    """The process, which answers by `hold`. What it has received can still be read when it is gone."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.separate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # By way of a pipe, for arguments can be read by anybody.
        self.process.stdin.write(whole(api_leaf()))
        self.process.stdin.close()
        self.endpoint = Endpoint("127.0.0.1", int(self.process.stdout.readline()))
        self._paths: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def paths(self) -> list[str]:
        """The paths of all requests that have come."""
        return list(self._paths)

    def kill(self) -> None:
        """SIGKILL; afterwards everything that it had received is known."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._paths.extend(str(json.loads(line)) for line in self.process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


def hold(exchange: Exchange) -> None:
    """Answer, but not what has `/held/` in its path: that is held until the connection ends."""
    if HELD not in exchange.request.path:
        answer_ok(exchange)
    elif not exchange.receive():
        exchange.leave()


def _tell(exchange: Exchange) -> None:
    """One write for one request, before anything is answered."""
    os.write(1, f"{json.dumps(exchange.request.path)}\n".encode())
    hold(exchange)


def _serve() -> None:
    upstream = Upstream(context=serving(sys.stdin.buffer.read()))
    upstream.at("/", _tell)
    os.write(1, f"{upstream.port}\n".encode())
    threading.Event().wait()


if __name__ == "__main__":
    _serve()
