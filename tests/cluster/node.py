"""The node: containerd, kubelet and kube-proxy on this machine, without leaving anything outside the work folder."""

from __future__ import annotations

import json

import yaml

from tests.cluster import layout, network
from tests.cluster.layout import Site
from tests.cluster.processes import Process
from tests.cluster.requirements import CNI_PLUGINS
from tests.cluster.state import State

# containerd, runc, CNI and kubelet write to fixed places below /run, /var/lib and /var/log whatever they are told.  In a
# mount namespace of their own these places are empty folders in memory, only the work folder shows through; and every
# mount that they make for pods ends with the last of them.  The programs are shown at a place that cannot be hidden.
# The kernel settings that a kubelet makes at its start for the whole machine are plain files in there.
_ENTER = """
set -e
mkdir -p "$0/bin"
mount -n --bind "$1" "$0/bin"
shift
mount -n -t tmpfs -o mode=755 tmpfs /var/lib
mount -n -t tmpfs -o mode=755 tmpfs /var/log
mkdir /var/lib/settings
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \\
    kernel/keys/root_maxbytes; do
  [ -e "/proc/sys/$name" ] || continue
  cat "/proc/sys/$name" > "/var/lib/settings/${name##*/}"
  mount -n --bind "/var/lib/settings/${name##*/}" "/proc/sys/$name"
done
mkdir /var/lib/work
mount -n --rbind "$0" /var/lib/work
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir -p "$0"
mount -n --move /var/lib/work "$0"
exec "$@"
"""


def prepare(site: Site) -> None:
    """The configuration files of all three."""
    (site.etc / "cni").mkdir(parents=True, exist_ok=True)
    (site.etc / "containerd.toml").write_text(_containerd(site))
    (site.etc / "cni" / "10-pods.conflist").write_text(json.dumps(_pod_network(site), indent=1))
    (site.etc / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(site)))
    (site.etc / "kube-proxy.yaml").write_text(yaml.safe_dump(_kube_proxy(site)))
    # The cluster has no DNS.  A file without any line would give pods the host's name servers.
    (site.etc / "resolv.conf").write_text(f"search {layout.CLUSTER_DOMAIN}\n")


def start_containerd(state: State) -> Process:
    site = state.site
    namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(site.work), state.binaries]
    return network.start(state, "containerd", [*namespace, "containerd", f"--config={site.etc / 'containerd.toml'}"])


def start_kubelet(state: State, containerd: Process) -> Process:
    site = state.site
    argv = [
        "nsenter",
        f"--mount=/proc/{containerd.pid}/ns/mnt",
        str(site.node_binaries / "kubelet"),
        f"--config={site.etc / 'kubelet.yaml'}",
        f"--bootstrap-kubeconfig={site.kubeconfigs / 'bootstrap.yaml'}",
        f"--kubeconfig={site.kubeconfigs / 'kubelet.yaml'}",
        f"--cert-dir={site.pki / 'kubelet'}",
        f"--root-dir={site.work / 'kubelet'}",
        f"--hostname-override={site.node_name}",
        f"--node-ip={site.node_address}",
        "--runtime-cgroups=/",
        "--kubelet-cgroups=/",
    ]
    return network.start(state, "kubelet", argv)


def start_kube_proxy(state: State) -> Process:
    config = state.site.etc / "kube-proxy.yaml"
    return network.start(state, "kube-proxy", [state.program("kube-proxy"), f"--config={config}"])


def _containerd(site: Site) -> str:
    return f"""\
version = 2
root = "{site.work}/containerd"
state = "{site.work}/containerd-state"
disabled_plugins = [
  "io.containerd.internal.v1.restart", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{site.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{site.work}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{layout.PAUSE_IMAGE}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE (in many virtual machines and containers) no process can lower its own OOM score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{site.etc}/cni"
"""


def _pod_network(site: Site) -> dict[str, object]:
    pods = {
        "type": "ptp",
        "ipam": {
            "type": "host-local",
            "dataDir": str(site.work / "pod-addresses"),
            "ranges": [[{"subnet": site.pod_network}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [pods]}


def _kubelet(site: Site) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": site.node_address,
        "port": layout.KUBELET_PORT,
        "healthzBindAddress": site.node_address,
        "containerRuntimeEndpoint": f"unix://{site.containerd_socket}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(site.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "rotateCertificates": True,
        "serverTLSBootstrap": True,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{site.cgroup}",
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(site.work / "pod-logs"),
        "volumePluginDir": str(site.work / "volume-plugins"),
        "resolvConf": str(site.etc / "resolv.conf"),
        "clusterDomain": layout.CLUSTER_DOMAIN,
        # The test images come from no registry: a collected one would be gone for good.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi"},
    }


def _kube_proxy(site: Site) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": site.node_address,
        "hostnameOverride": site.node_name,
        "healthzBindAddress": f"{site.node_address}:10256",
        "metricsBindAddress": f"{site.node_address}:10249",
        "clientConnection": {"kubeconfig": str(site.kubeconfigs / "kube-proxy.yaml")},
        "clusterCIDR": site.pod_network,
        # Zeros and false: no kernel setting is changed.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"localhostNodePorts": False},
    }
