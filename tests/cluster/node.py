"""The node: containerd, kubelet and kube-proxy on this machine, without leaving anything outside the work folder."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.cluster import layout, processes
from tests.cluster.layout import CONTAINERD_SOCKET, ETC, KUBECONFIGS, NODE_ADDRESS, PKI, WORK
from tests.cluster.processes import Process
from tests.cluster.requirements import CNI_PLUGINS

# containerd, runc, CNI and kubelet write to fixed places below /run, /var/lib and /var/log whatever they are told.  In a
# mount namespace of their own these places are empty folders in memory, only the work folder shows through; and every
# mount that they make for pods ends with the last of them.  The programs are shown at a place that cannot be hidden.
_ENTER = """
set -e
mkdir -p "$0/bin"
mount -n --bind "$1" "$0/bin"
shift
mount -n -t tmpfs -o mode=755 tmpfs /var/lib
mount -n -t tmpfs -o mode=755 tmpfs /var/log
mkdir /var/lib/work
mount -n --rbind "$0" /var/lib/work
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir -p "$0"
mount -n --move /var/lib/work "$0"
exec "$@"
"""

_CONTAINERD = f"""\
version = 2
root = "{WORK}/containerd"
state = "{WORK}/containerd-state"
disabled_plugins = [
  "io.containerd.internal.v1.restart", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{WORK}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{layout.PAUSE_IMAGE}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE (in many virtual machines and containers) no process can lower its own OOM score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{ETC}/cni"
"""


def prepare() -> None:
    """The configuration files of all three."""
    (ETC / "cni").mkdir(parents=True, exist_ok=True)
    (ETC / "containerd.toml").write_text(_CONTAINERD)
    (ETC / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(), indent=1))
    (ETC / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet()))
    (ETC / "kube-proxy.yaml").write_text(yaml.safe_dump(_kube_proxy()))
    # The cluster has no DNS.  A file without any line would give pods the host's name servers.
    (ETC / "resolv.conf").write_text(f"search {layout.CLUSTER_DOMAIN}\n")


def start_containerd(binaries: Path) -> Process:
    namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(WORK), str(binaries)]
    return processes.spawn("containerd", [*namespace, "containerd", f"--config={ETC / 'containerd.toml'}"])


def start_kubelet(containerd: Process) -> Process:
    argv = [
        "nsenter",
        f"--mount=/proc/{containerd.pid}/ns/mnt",
        str(layout.NODE_BINARIES / "kubelet"),
        f"--config={ETC / 'kubelet.yaml'}",
        f"--bootstrap-kubeconfig={KUBECONFIGS / 'bootstrap.yaml'}",
        f"--kubeconfig={KUBECONFIGS / 'kubelet.yaml'}",
        f"--cert-dir={PKI / 'kubelet'}",
        f"--root-dir={WORK / 'kubelet'}",
        f"--hostname-override={layout.NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
        "--runtime-cgroups=/",
        "--kubelet-cgroups=/",
    ]
    return processes.spawn("kubelet", argv)


def start_kube_proxy(binaries: Path) -> Process:
    return processes.spawn("kube-proxy", [binaries / "kube-proxy", f"--config={ETC / 'kube-proxy.yaml'}"])


def _pod_network() -> dict[str, object]:
    pods = {
        "type": "ptp",
        "ipam": {
            "type": "host-local",
            "dataDir": str(WORK / "pod-addresses"),
            "ranges": [[{"subnet": layout.POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [pods]}


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": layout.KUBELET_PORT,
        "healthzBindAddress": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "rotateCertificates": True,
        "serverTLSBootstrap": True,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.CGROUP}",
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(WORK / "pod-logs"),
        "volumePluginDir": str(WORK / "volume-plugins"),
        "resolvConf": str(ETC / "resolv.conf"),
        "clusterDomain": layout.CLUSTER_DOMAIN,
        # The test images come from no registry: a collected one would be gone for good.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi"},
    }


def _kube_proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "hostnameOverride": layout.NODE_NAME,
        "healthzBindAddress": f"{NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        "clientConnection": {"kubeconfig": str(KUBECONFIGS / "kube-proxy.yaml")},
        "clusterCIDR": layout.POD_NETWORK,
        # Zeros and false: no kernel setting is changed.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"localhostNodePorts": False},
    }
