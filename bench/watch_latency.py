"""How much later a watch event arrives through the gate than directly: `python -m bench.watch_latency` (root, the test cluster).

The same events are watched twice at once, directly and through the gate, by two threads of one process; the figure is the
difference of the two arrivals of each event, over HTTP/1.1 and TLS on both ways.
"""

import http.client
import json
import ssl
import statistics
import threading
import time
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.support.expose import expose, home

EVENTS = 300
PAUSE_SECONDS = 0.02
NAME = "watched"


class Watcher(threading.Thread):
    """Keeps when each new version of the object arrived, in ns."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, token: str, begin: str) -> None:
        super().__init__(daemon=True)
        self.arrived: dict[str, int] = {}
        self._connection = http.client.HTTPSConnection(host, port, context=context, timeout=60)
        path = f"/api/v1/namespaces/dev/configmaps?watch=1&fieldSelector=metadata.name%3D{NAME}&resourceVersion={begin}"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        self._answer = self._connection.getresponse()

    def run(self) -> None:
        """Read until every event is there."""
        while len(self.arrived) < EVENTS and (line := self._answer.readline()):
            now = time.perf_counter_ns()
            self.arrived[json.loads(line)["object"]["metadata"]["resourceVersion"]] = now
        self._connection.close()


def measure(cluster: Cluster) -> list[float]:
    """The differences, in ms, sorted."""
    server, token = cluster.servers[0], cluster.accounts["developer"].token
    assert token is not None
    cluster.kubectl("delete", "configmap", NAME, "-n", "dev", "--ignore-not-found")
    cluster.kubectl("create", "configmap", NAME, "-n", "dev")
    begin = cluster.kubectl("get", "configmap", NAME, "-n", "dev", "-o", "jsonpath={.metadata.resourceVersion}").stdout
    with home() as person:
        config = cluster.write_kubeconfig(person.path / "source.yaml", cluster.admin_token, server=server.url)
        with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
            direct_tls = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
            gate_tls = ssl.create_default_context(cafile=str(next(person.state.rglob("certificate.pem"))))
            direct = Watcher(server.address, server.port, direct_tls, token, begin)
            through = Watcher("127.0.0.1", gate.port, gate_tls, token, begin)
            for watcher in (direct, through):
                watcher.start()
            _patch(server.address, server.port, direct_tls, token)
            for watcher in (direct, through):
                watcher.join(60)
    common = direct.arrived.keys() & through.arrived.keys()
    if len(common) != EVENTS:
        raise SystemExit(f"only {len(common)} of {EVENTS} events arrived on both ways")
    return sorted((through.arrived[version] - direct.arrived[version]) / 1e6 for version in common)


def _patch(host: str, port: int, context: ssl.SSLContext, token: str) -> None:
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    for number in range(EVENTS):
        connection.request(
            "PATCH", f"/api/v1/namespaces/dev/configmaps/{NAME}", json.dumps({"data": {"n": str(number)}}), headers
        )
        connection.getresponse().read()
        time.sleep(PAUSE_SECONDS)
    connection.close()


def main() -> None:
    """Measure and print."""
    with Cluster.attach() or Cluster.up(progress=print) as cluster:
        later = measure(cluster)
    print(f"{EVENTS} watch events, through the gate later than directly, in ms (a negative figure: earlier):")
    figures = {
        "min": later[0],
        "median": statistics.median(later),
        "99%": later[int(len(later) * 0.99)],
        "max": later[-1],
    }
    print("  " + "   ".join(f"{name} {figure:.2f}" for name, figure in figures.items()))
    print(f"  machine: {_machine()}")


def _machine() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ": ?")
    return model.split(":", 1)[1].strip()


if __name__ == "__main__":
    main()
