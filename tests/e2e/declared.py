"""`kubegate run` in front of both real clusters on one port: the first with its TLS opened, the second passed through.

Both are reached by name. The first is also the default cluster, for clients that give none.
"""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from tests.cluster.accounts import Account
from tests.cluster.cluster import Cluster
from tests.support.expose import Home
from tests.support.run import Document, Running, front_leaf, gate_file, run, write_pair
from tests.support.tls import front_authority

FIRST_HOST, OTHER_HOST = "first.gate.test", "other.gate.test"


class DeclaredGate:
    """The gate, its file, and the clusters behind it."""

    def __init__(self, running: Running, first: Cluster, second: Cluster) -> None:
        self.running = running
        self.clusters: Mapping[str, Cluster] = {"first": first, "second": second}
        self.folder = running.file.parent

    @property
    def port(self) -> int:
        """The port of its listener."""
        return self.running.port

    def name(self, cluster: str) -> str:
        """The name by which a cluster is reached."""
        return FIRST_HOST if cluster == "first" else self.clusters[cluster].api_name

    def authority(self, cluster: str) -> bytes:
        """Whom clients of a cluster trust (PEM): the gate's own CA, or where TLS is not opened the cluster's."""
        return front_authority().pem if cluster == "first" else self.clusters[cluster].ca.certificate.read_bytes()

    def kubeconfig(self, path: Path, cluster: str, account: Account, *, by_address: bool = False) -> Path:
        """A client's kubeconfig: the gate's address, and the cluster's name beside it unless it is the default cluster's."""
        entry = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority-data": _encoded(self.authority(cluster)),
        }
        if not by_address:
            entry["tls-server-name"] = self.name(cluster)
        user: dict[str, str] = {"token": account.token} if account.token else {}
        if account.client:
            user["client-certificate-data"] = _encoded(account.client.certificate.read_bytes())
            user["client-key-data"] = _encoded(account.client.key.read_bytes())
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": cluster,
            "clusters": [{"name": cluster, "cluster": entry}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": account.name}}],
            "users": [{"name": account.name, "user": user}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def declare(folder: Path, first: Cluster, second: Cluster) -> Document:
    """The declaration, with the files that it names."""
    for cluster in (first, second):
        (folder / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    opened = {
        "name": "first",
        "hosts": [FIRST_HOST],
        "certificate": write_front(folder),
        "limits": {"connections": 5000},
    }
    passed = {"name": "second", "hosts": [second.api_name], "mode": "passthrough", "limits": {"connections": 5000}}
    clusters = [
        declared | {"upstream": upstream(cluster), "health": {"interval": "1s"}}
        for declared, cluster in ((opened, first), (passed, second))
    ]
    return gate_file(folder, *clusters, listener={"defaultCluster": "first"})


def write_front(folder: Path) -> Document:
    """A new certificate for the gate to show for its first cluster, and for clients that give no name."""
    return write_pair(folder, "first", front_leaf(FIRST_HOST, OTHER_HOST, "third.gate.test", "127.0.0.1"))


def upstream(cluster: Cluster) -> Document:
    """Where a cluster's API servers are declared to be."""
    return {
        "servers": [f"{server.address}:{server.port}" for server in cluster.servers],
        "ca": f"{cluster.name}-ca.crt",
        "serverName": cluster.api_name,
    }


@contextlib.contextmanager
def declared_gate(home: Home, first: Cluster, second: Cluster) -> Iterator[DeclaredGate]:
    """The gate, running, with every API server known to be up."""
    with run(declare(home.path, first, second), home) as running:
        for cluster in (first, second):
            running.until_up(cluster.name, len(cluster.servers))
        yield DeclaredGate(running, first, second)
