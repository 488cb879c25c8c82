"""The control plane: etcd, API servers, the controller manager and the scheduler, each as its command line."""

from __future__ import annotations

import yaml

from tests.cluster import layout, network
from tests.cluster.accounts import token_file
from tests.cluster.layout import Site
from tests.cluster.processes import Process
from tests.cluster.state import State

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def prepare(site: Site) -> None:
    for folder in (site.audit, site.etc):
        folder.mkdir(parents=True, exist_ok=True)
    (site.etc / "audit-policy.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))


def start_etcd(state: State) -> Process:
    site, pki = state.site, state.site.pki
    peer = f"https://{site.control_address}:2380"
    flags = {
        "name": "test",
        "data-dir": site.work / "etcd",
        "listen-client-urls": site.etcd_url,
        "advertise-client-urls": site.etcd_url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"test={peer}",
        "cert-file": pki / "etcd.crt",
        "key-file": pki / "etcd.key",
        "client-cert-auth": "true",
        "trusted-ca-file": pki / "etcd-ca.crt",
        "peer-cert-file": pki / "etcd.crt",
        "peer-key-file": pki / "etcd.key",
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": pki / "etcd-ca.crt",
        "unsafe-no-fsync": "true",
        # It elects itself; by default after a second.
        "heartbeat-interval": 20,
        "election-timeout": 200,
        "log-level": "warn",
    }
    return network.start(state, "etcd", [state.program("etcd"), *_flags(flags)])


def start_apiserver(state: State, index: int) -> Process:
    site, pki = state.site, state.site.pki
    address = site.every_api_address[index]
    flags = {
        "bind-address": address,
        "advertise-address": address,
        "secure-port": layout.API_PORT,
        "tls-cert-file": pki / f"apiserver-{index}.crt",
        "tls-private-key-file": pki / f"apiserver-{index}.key",
        "client-ca-file": pki / "ca.crt",
        "etcd-servers": site.etcd_url,
        "etcd-cafile": pki / "etcd-ca.crt",
        "etcd-certfile": pki / "apiserver-etcd-client.crt",
        "etcd-keyfile": pki / "apiserver-etcd-client.key",
        "service-cluster-ip-range": site.service_network,
        "service-account-issuer": f"https://kubernetes.default.svc.{layout.CLUSTER_DOMAIN}",
        "service-account-key-file": pki / "service-accounts.pub",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "token-auth-file": token_file(site),
        "enable-bootstrap-token-auth": "true",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client,kubegate",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "audit-policy-file": site.etc / "audit-policy.yaml",
        "audit-log-path": site.audit / f"apiserver-{index}.log",
        # An event is in the file before the answer is on the wire: a test reads it at once.
        "audit-log-mode": "blocking",
        # SIGTERM ends it in seconds; by default it waits for its watchers, who do not go by themselves.
        "shutdown-watch-termination-grace-period": "1s",
    }
    # Two API servers on one host name would share one identity Lease and fight for it.
    script = 'hostname "$0" && exec "$@"'
    namespace = ["unshare", "--uts", "sh", "-c", script, f"{site.name}-apiserver-{index}"]
    return network.start(state, apiserver_name(index), [*namespace, state.program("kube-apiserver"), *_flags(flags)])


def apiserver_name(index: int) -> str:
    return f"kube-apiserver-{index}"


def start_controller_manager(state: State) -> Process:
    site, pki = state.site, state.site.pki
    flags = _kubeconfigs(site, "controller-manager") | {
        "secure-port": 10257,
        # It makes this folder, by default below /usr.
        "flex-volume-plugin-dir": site.work / "volume-plugins",
        # With the default of 20 a second, all those controllers need five seconds to begin.
        "kube-api-qps": 500,
        "kube-api-burst": 500,
        "controllers": "*,tokencleaner,bootstrapsigner",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "service-accounts.key",
    }
    return network.start(state, "kube-controller-manager", [state.program("kube-controller-manager"), *_flags(flags)])


def start_scheduler(state: State) -> Process:
    flags = _kubeconfigs(state.site, "scheduler") | {"secure-port": 10259}
    return network.start(state, "kube-scheduler", [state.program("kube-scheduler"), *_flags(flags)])


def _kubeconfigs(site: Site, name: str) -> dict[str, object]:
    file, pki = site.kubeconfigs / f"{name}.yaml", site.pki
    return {
        "kubeconfig": file,
        "authentication-kubeconfig": file,
        "authorization-kubeconfig": file,
        "bind-address": site.control_address,
        "client-ca-file": pki / "ca.crt",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "tls-cert-file": pki / "control-plane.crt",
        "tls-private-key-file": pki / "control-plane.key",
        # Alone, and a leader that loses its lease ends: a test may stop the API server for longer than that.
        "leader-elect": "false",
    }


def _flags(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
