"""The API servers of the measurements: nginx with fixed answers, and a server of streams. Both show a cluster's certificate."""

import contextlib
import getpass
import json
import ssl
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.machine import Cores, on_core, open_files
from bench.processes import running
from kubegate.system.network import free_port
from tests.support.tls import api_leaf, cluster_authority, gate_pem, whole

FILES = Path(__file__).parent / "files"
LOOPBACK = "127.0.0.1"
POD = "/api/v1/namespaces/default/pods/web-0"
LISTS = {"1 MB": "/list-1", "50 MB": "/list-50"}
DOWNLOAD = {"200 MB": "/list-200"}


@dataclass(frozen=True)
class Bench:
    """What every part of a run shares: its own folder with the certificates, and the cores."""

    folder: Path
    cores: Cores

    @classmethod
    def make(cls, folder: Path) -> "Bench":
        for name, content in {"front.pem": gate_pem(), "api.pem": whole(api_leaf()), "ca.pem": cluster_authority().pem}.items():
            (folder / name).write_bytes(content)
        return cls(folder, Cores.choose())

    def fill(self, template: str, **words: object) -> Path:
        """A file of `files/` with its words in angle brackets filled in, in a folder of its own."""
        given = {
            "THREADS": 1,
            "FILES": open_files() - 100,
            "FRONT_PEM": self.folder / "front.pem",
            "API_PEM": self.folder / "api.pem",
            "CA_PEM": self.folder / "ca.pem",
        }
        text = (FILES / template).read_text()
        for name, value in (given | words).items():
            text = text.replace(f"<{name}>", str(value))
        path = self.folder / f"{words['PORT' if 'PORT' in words else 'UPSTREAM_PORT']}-{template}"
        path.write_text(text)
        return path


@dataclass(frozen=True)
class Fixed:
    """The nginx with fixed answers; `count` says how many requests it has had."""

    port: int
    _count_port: int

    def count(self) -> int:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._count_port}/", timeout=10) as answer:
            return int(answer.read().split()[9])


@contextlib.contextmanager
def fixed(bench: Bench, lists: Mapping[str, str] = LISTS) -> Iterator[Fixed]:
    """Run it, with these lists to give."""
    upstream = Fixed(free_port(LOOPBACK), free_port(LOOPBACK))
    for size, path in lists.items():
        (bench.folder / path.strip("/")).write_bytes(_list(int(size.split()[0]) * 1_000_000))
    words = {
        "UPSTREAM_PORT": upstream.port,
        "COUNT_PORT": upstream._count_port,
        "FOLDER": bench.folder,
        "USER": getpass.getuser(),
        "POD": json.dumps(_pod(0)),
    }
    config = bench.fill("upstream-nginx.conf", **words)
    command: list[str | Path] = [*on_core(bench.cores.upstream), "nginx", "-p", bench.folder, "-c", config]
    with running(command, lambda: answers(upstream.port)):
        yield upstream


@contextlib.contextmanager
def streams(bench: Bench) -> Iterator[int]:
    """Run the server of watches and tunnels; gives its port."""
    port = free_port(LOOPBACK)
    pem = bench.folder / "api.pem"
    command: list[str | Path] = [
        *on_core(bench.cores.upstream),
        sys.executable,
        "-m",
        "uvicorn",
        "bench.streams:app",
        "--port",
        str(port),
    ]
    command += ["--ssl-keyfile", str(pem), "--ssl-certfile", str(pem), "--log-level", "error", "--timeout-keep-alive", "3600"]
    with running(command, lambda: answers(port), PYTHONPATH=str(FILES.parent.parent)):
        yield port


def answers(port: int, *, tls: bool = True) -> bool:
    """Whether an HTTP server answers on a port of loopback; nobody is verified here."""
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(  # noqa: S310
            f"http{'s' if tls else ''}://{LOOPBACK}:{port}/version", timeout=2, context=context
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _pod(number: int) -> dict[str, object]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": f"web-{number}", "namespace": "default", "resourceVersion": str(1000 + number)},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1", "resources": {}}], "nodeName": "node-1"},
        "status": {"phase": "Running", "podIP": f"10.0.{number // 250 % 250}.{number % 250}", "qosClass": "BestEffort"},
    }


def _list(size: int) -> bytes:
    item = len(json.dumps(_pod(10_000))) + 2
    return json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [_pod(number) for number in range(size // item)]}).encode()
