"""Commands as someone types them, and watches that are open meanwhile."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support.expose import Home, kubegate
from tests.support.rawhttp import request
from tests.support.run import Running
from tests.support.upstream import Exchange

WATCHED = "/api/v1/namespaces"


def said(*words: str, home: Home, code: int = 0, extra: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> str:
    """What a command prints; it must end with this code. With 0 it says nothing on standard error, else nothing on the other."""
    done = kubegate(*words, home=home, extra=extra, before=before)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stderr if code == 0 else done.stdout) == ""
    return done.stdout if code == 0 else done.stderr


def facts(*words: str, home: Home, code: int = 0) -> Any:
    """What a command prints as JSON, in one line."""
    done = kubegate(*words, "--output", "json", home=home)
    assert (done.returncode, done.stderr) == (code, "")
    [line] = done.stdout.splitlines()
    return json.loads(line)


def watch(exchange: Exchange) -> None:
    """Begin an answer that ends when the client leaves."""
    exchange.begin()
    exchange.chunk(b"begun")
    exchange.receive()
    exchange.leave()


@contextlib.contextmanager
def watching(gate: Running, name: str, count: int = 1) -> Iterator[None]:
    """Watches of a cluster, open inside the block."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(gate.dial(name))
            client.wire.send(request("GET", f"{WATCHED}?watch=true", host=name))
            assert client.head().status == 200
            assert client.chunk() == b"begun"
        yield
