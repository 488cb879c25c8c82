"""Where a test cluster lives: a `Site` says its folder, its addresses and its names.

There are two sites, and one cluster at a time at each.  The folders are short because unix socket paths are limited to
108 bytes.  The addresses are from 198.18.0.0/15, which is reserved for benchmarks: nobody's network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

API_PORT = 6443
KUBELET_PORT = 10250
PREFIX_LENGTH = 28
"""Of the network that a site's servers and the host's end of its link are in."""
CLUSTER_DOMAIN = "cluster.local"
BUSYBOX_IMAGE = "local/busybox:test"
PAUSE_IMAGE = "local/pause:test"


@dataclass(frozen=True)
class Site:
    """Everything that differs between clusters.  Sites share nothing: no folder, address, link or control group."""

    name: str
    work: Path
    link: str
    """The host's end of the link to the cluster's network."""
    host_address: str
    api_addresses: tuple[str, ...]
    """Of the API servers that are always there."""
    spare_address: str
    """Of an API server that may come and go."""
    node_address: str
    node_name: str
    service_network: str
    service_address: str
    pod_network: str
    api_name: str
    """The one name of the API servers that is no other cluster's."""

    @property
    def every_api_address(self) -> tuple[str, ...]:
        """By the index of the API server; the spare one is the last."""
        return (*self.api_addresses, self.spare_address)

    @property
    def control_address(self) -> str:
        """etcd, kube-controller-manager and kube-scheduler listen beside the first API server."""
        return self.api_addresses[0]

    def api_url(self, index: int) -> str:
        return f"https://{self.every_api_address[index]}:{API_PORT}"

    @property
    def etcd_url(self) -> str:
        return f"https://{self.control_address}:2379"

    @property
    def api_names(self) -> tuple[str, ...]:
        service = "kubernetes.default.svc"
        return ("kubernetes", "kubernetes.default", service, f"{service}.{CLUSTER_DOMAIN}", self.api_name)

    @property
    def cgroup(self) -> str:
        return self.work.name

    @property
    def pki(self) -> Path:
        return self.work / "pki"

    @property
    def logs(self) -> Path:
        return self.work / "log"

    @property
    def audit(self) -> Path:
        return self.work / "audit"

    @property
    def etc(self) -> Path:
        return self.work / "etc"

    @property
    def kubeconfigs(self) -> Path:
        return self.work / "kubeconfig"

    @property
    def home(self) -> Path:
        return self.work / "home"

    @property
    def state(self) -> Path:
        return self.work / "state.json"

    @property
    def node_binaries(self) -> Path:
        """Where the node sees the programs; for everyone else this folder is empty."""
        return self.work / "bin"

    @property
    def containerd_socket(self) -> Path:
        return self.work / "containerd.sock"


FIRST = Site(
    name="first",
    work=Path("/run/kubegate-test-cluster"),
    link="kubegate-test-1",
    host_address="198.18.0.1",
    api_addresses=("198.18.0.10", "198.18.0.11"),
    spare_address="198.18.0.13",
    node_address="198.18.0.12",
    node_name="node-1",
    service_network="198.18.128.0/24",
    service_address="198.18.128.1",
    pod_network="198.18.64.0/24",
    api_name="api.kubegate.test",
)
SECOND = Site(
    name="second",
    work=Path("/run/kubegate-test-cluster-2"),
    link="kubegate-test-2",
    host_address="198.18.0.17",
    api_addresses=("198.18.0.20",),
    spare_address="198.18.0.21",
    node_address="198.18.0.22",
    node_name="node-2",
    service_network="198.18.129.0/24",
    service_address="198.18.129.1",
    pod_network="198.18.65.0/24",
    api_name="api-2.kubegate.test",
)
SITES = {site.name: site for site in (FIRST, SECOND)}
