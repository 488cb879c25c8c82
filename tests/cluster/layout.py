"""Where the test cluster lives: its folder, its addresses and its names.

There is one cluster at a time on a machine, so these are constants.  The folder is short because unix socket paths are
limited to 108 bytes.  The addresses are from 198.18.0.0/15, which is reserved for benchmarks: nobody's network.
"""

from __future__ import annotations

from pathlib import Path

WORK = Path("/run/kubegate-test-cluster")
PKI = WORK / "pki"
LOGS = WORK / "log"
AUDIT = WORK / "audit"
ETC = WORK / "etc"
KUBECONFIGS = WORK / "kubeconfig"
HOME = WORK / "home"
STATE = WORK / "state.json"
NODE_BINARIES = WORK / "bin"
"""Where the node sees the programs; for everyone else this folder is empty."""
CONTAINERD_SOCKET = WORK / "containerd.sock"

API_ADDRESSES = ("198.18.0.10", "198.18.0.11")
API_PORT = 6443
NODE_ADDRESS = "198.18.0.12"
NODE_NAME = "node-1"
KUBELET_PORT = 10250
ADDRESSES = (*API_ADDRESSES, NODE_ADDRESS)
CONTROL_ADDRESS = API_ADDRESSES[0]
"""etcd, kube-controller-manager and kube-scheduler listen here, so that no port of 127.0.0.1 is taken."""

SERVICE_NETWORK = "198.18.128.0/24"
SERVICE_ADDRESS = "198.18.128.1"
POD_NETWORK = "198.18.64.0/24"
CLUSTER_DOMAIN = "cluster.local"

GATE_NAME = "api.kubegate.test"
API_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    GATE_NAME,
)

CGROUP = "kubegate-test-cluster"
BUSYBOX_IMAGE = "local/busybox:test"
PAUSE_IMAGE = "local/pause:test"

ETCD_URL = f"https://{CONTROL_ADDRESS}:2379"
API_URLS = tuple(f"https://{address}:{API_PORT}" for address in API_ADDRESSES)
