"""`python -m demo`: say what is going to run, run `kubegate expose`, and leave nothing behind."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo import callers, gate, standin
from demo.choice import own_context
from kubegate.cluster.kubeconfig import Context


def main() -> int:
    """Run the demo until Ctrl-C; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        context = None if _stand_in_wanted() else own_context(_tell)
        with tempfile.TemporaryDirectory(prefix="kubegate-demo-") as folder:
            return _own_cluster(context, Path(folder)) if context else _stand_in(Path(folder))
    except KeyboardInterrupt:
        return 130


def _stand_in_wanted() -> bool:
    return os.environ.get("DEMO_STANDIN", "") not in ("", "0")


def _own_cluster(context: Context, folder: Path) -> int:
    _tell("Its API server answers and is verified. It is exposed on loopback only, until Ctrl-C; nothing is created in it.")
    listen = _listen()
    this = ["--context", context.name, "--listen", listen]
    asked_for = ["--account", "NAMESPACE/NAME", "--for", "10m", "--out", "client.kubeconfig"]
    _tell("A kubeconfig with a short-lived token is made only if you ask for it, of a service account that exists:")
    _tell(f"  {gate.shown([*this, *asked_for])}")
    return _run(this, folder, lambda: None)


def _stand_in(folder: Path) -> int:
    with standin.running(folder) as server:
        _tell(f"What is exposed here is a STAND-IN, not a cluster: a small API server of this demo at {server.url}.")
        _tell("It has some namespaces, which change every two seconds, and the service account demo/visitor; it runs nothing.")
        account = ["--account", f"{callers.NAMESPACE}/{callers.ACCOUNT}", "--for", "10m"]
        files = ["--kubeconfig", str(server.kubeconfig), "--out", str(folder / "client.kubeconfig")]
        return _run(["--listen", _listen(), *account, *files], folder, server.end_watches)


def _run(arguments: list[str], folder: Path, at_end: Callable[[], None]) -> int:
    _tell(f"\n$ {gate.shown(arguments)}\n")
    return gate.run(arguments, folder, at_end)


def _listen() -> str:
    port = gate.free_port()
    if port != gate.PORT:
        _tell(f"{gate.HOST}:{gate.PORT} is taken, so port {port} it is.")
    return f"{gate.HOST}:{port}"


def _tell(text: str = "") -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
