"""The stand-in: a small API server on loopback for machines without a cluster. It stores nothing and runs nothing."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from demo import certificate
from demo.api import application
from demo.callers import ADMINISTRATOR, Callers
from demo.namespaces import Namespaces

CONTEXT = "stand-in"
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StandIn:
    """A stand-in that answers. `kubeconfig` is a file with its administrator's token; `end_watches` ends every open watch."""

    url: str
    kubeconfig: Path
    who: Callers
    end_watches: Callable[[], None]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[StandIn]:
    """A stand-in in a thread of this process; what it needs on disk goes into `folder`, which must be private."""
    identity, who, state = certificate.make(), Callers(), Namespaces()
    pair, kubeconfig = folder / "stand-in.pem", folder / "stand-in.kubeconfig"
    pair.write_bytes(identity.key + identity.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.closing(asyncio.new_event_loop()) as loop:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        # JSON is YAML.
        kubeconfig.write_text(json.dumps(_kubeconfig(url, identity.ca, who.admin_token), indent=2))
        server = uvicorn.Server(
            uvicorn.Config(
                application(who, state),
                ssl_certfile=pair,
                ssl_keyfile=pair,
                ws="none",
                access_log=False,
                log_level="critical",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        with _serving(server, listener, loop):
            yield StandIn(url, kubeconfig, who, partial(_in_loop, loop, state.close))


@contextlib.contextmanager
def _serving(server: uvicorn.Server, listener: socket.socket, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    serving = server.serve(sockets=[listener])
    thread = threading.Thread(target=loop.run_until_complete, args=[serving], name="stand-in", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the stand-in did not start")
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())


def _in_loop(loop: asyncio.AbstractEventLoop, do: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(do)


def _kubeconfig(url: str, ca: bytes, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": url, "certificate-authority-data": b64encode(ca).decode()}}],
        "users": [{"name": ADMINISTRATOR, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": ADMINISTRATOR}}],
        "current-context": CONTEXT,
    }
