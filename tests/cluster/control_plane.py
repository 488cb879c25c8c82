"""The control plane: etcd, two API servers, the controller manager and the scheduler, each as its command line."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.cluster import layout, processes
from tests.cluster.accounts import TOKEN_FILE
from tests.cluster.layout import AUDIT, CONTROL_ADDRESS, ETC, ETCD_URL, KUBECONFIGS, PKI, WORK
from tests.cluster.processes import Process

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def prepare() -> None:
    for folder in (AUDIT, ETC):
        folder.mkdir(parents=True, exist_ok=True)
    (ETC / "audit-policy.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))


def start_etcd(binaries: Path) -> Process:
    peer = f"https://{CONTROL_ADDRESS}:2380"
    flags = {
        "name": "test",
        "data-dir": WORK / "etcd",
        "listen-client-urls": ETCD_URL,
        "advertise-client-urls": ETCD_URL,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"test={peer}",
        "cert-file": PKI / "etcd.crt",
        "key-file": PKI / "etcd.key",
        "client-cert-auth": "true",
        "trusted-ca-file": PKI / "etcd-ca.crt",
        "peer-cert-file": PKI / "etcd.crt",
        "peer-key-file": PKI / "etcd.key",
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": PKI / "etcd-ca.crt",
        "unsafe-no-fsync": "true",
        # It elects itself; by default after a second.
        "heartbeat-interval": 20,
        "election-timeout": 200,
        "log-level": "warn",
    }
    return processes.spawn("etcd", [binaries / "etcd", *_flags(flags)])


def start_apiserver(binaries: Path, index: int) -> Process:
    address = layout.API_ADDRESSES[index]
    flags = {
        "bind-address": address,
        "advertise-address": address,
        "secure-port": layout.API_PORT,
        "tls-cert-file": PKI / f"apiserver-{index}.crt",
        "tls-private-key-file": PKI / f"apiserver-{index}.key",
        "client-ca-file": PKI / "ca.crt",
        "etcd-servers": ETCD_URL,
        "etcd-cafile": PKI / "etcd-ca.crt",
        "etcd-certfile": PKI / "apiserver-etcd-client.crt",
        "etcd-keyfile": PKI / "apiserver-etcd-client.key",
        "service-cluster-ip-range": layout.SERVICE_NETWORK,
        "service-account-issuer": f"https://kubernetes.default.svc.{layout.CLUSTER_DOMAIN}",
        "service-account-key-file": PKI / "service-accounts.pub",
        "service-account-signing-key-file": PKI / "service-accounts.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "token-auth-file": TOKEN_FILE,
        "enable-bootstrap-token-auth": "true",
        "kubelet-certificate-authority": PKI / "ca.crt",
        "kubelet-client-certificate": PKI / "apiserver-kubelet-client.crt",
        "kubelet-client-key": PKI / "apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "requestheader-client-ca-file": PKI / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client,kubegate",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": PKI / "front-proxy-client.crt",
        "proxy-client-key-file": PKI / "front-proxy-client.key",
        "audit-policy-file": ETC / "audit-policy.yaml",
        "audit-log-path": AUDIT / f"apiserver-{index}.log",
        # An event is in the file before the answer is on the wire: a test reads it at once.
        "audit-log-mode": "blocking",
        # SIGTERM ends it in seconds; by default it waits for its watchers, who do not go by themselves.
        "shutdown-watch-termination-grace-period": "1s",
    }
    # Two API servers on one host name would share one identity Lease and fight for it.
    script = 'hostname "$0" && exec "$@"'
    namespace = ["unshare", "--uts", "sh", "-c", script, f"apiserver-{index}"]
    return processes.spawn(apiserver_name(index), [*namespace, binaries / "kube-apiserver", *_flags(flags)])


def apiserver_name(index: int) -> str:
    return f"kube-apiserver-{index}"


def start_controller_manager(binaries: Path) -> Process:
    flags = _kubeconfigs("controller-manager") | {
        "secure-port": 10257,
        # It makes this folder, by default below /usr.
        "flex-volume-plugin-dir": WORK / "volume-plugins",
        # With the default of 20 a second, all those controllers need five seconds to begin.
        "kube-api-qps": 500,
        "kube-api-burst": 500,
        "controllers": "*,tokencleaner,bootstrapsigner",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": PKI / "ca.crt",
        "cluster-signing-key-file": PKI / "ca.key",
        "root-ca-file": PKI / "ca.crt",
        "service-account-private-key-file": PKI / "service-accounts.key",
    }
    return processes.spawn("kube-controller-manager", [binaries / "kube-controller-manager", *_flags(flags)])


def start_scheduler(binaries: Path) -> Process:
    flags = _kubeconfigs("scheduler") | {"secure-port": 10259}
    return processes.spawn("kube-scheduler", [binaries / "kube-scheduler", *_flags(flags)])


def _kubeconfigs(name: str) -> dict[str, object]:
    file = KUBECONFIGS / f"{name}.yaml"
    return {
        "kubeconfig": file,
        "authentication-kubeconfig": file,
        "authorization-kubeconfig": file,
        "bind-address": CONTROL_ADDRESS,
        "client-ca-file": PKI / "ca.crt",
        "requestheader-client-ca-file": PKI / "front-proxy-ca.crt",
        "tls-cert-file": PKI / "control-plane.crt",
        "tls-private-key-file": PKI / "control-plane.key",
        # Alone, and a leader that loses its lease ends: a test may stop the API server for longer than that.
        "leader-elect": "false",
    }


def _flags(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
