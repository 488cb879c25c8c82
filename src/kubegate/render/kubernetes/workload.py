"""The Deployment: `kubegate run` in pods that the profile `restricted` of the pod security standards admits."""

import math
from collections.abc import Sequence

from kubegate.model.config import Config
from kubegate.render import objects
from kubegate.render.kubernetes.gate_file import FILE, FOLDER, authority_path, certificate_path, key_path
from kubegate.render.kubernetes.names import Names
from kubegate.render.sites import Site
from kubegate.render.yaml_text import Object

REPLICAS = 2
RESOURCES = {"requests": {"cpu": "100m", "memory": "192Mi"}}
# Nobody in particular, as in images without a shell.
_USER = 65532
_WORK = "/run/gate"
# New clients stop coming only when every node knows that the pod ends.
_UNTIL_UNKNOWN_SECONDS = 5
_AFTER_DRAIN_SECONDS = 15
_PRIVILEGED_PORTS = 1024


def deployment(names: Names, config: Config, found: Sequence[Site], authorities: Sequence[str], image: str) -> Object:
    """The Deployment; `authorities` are the clusters whose CA is mounted."""
    drain = math.ceil(config.data_plane.drain.total_seconds())
    pod: Object = {
        "serviceAccountName": names.base,
        "automountServiceAccountToken": asks_its_cluster(config),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _UNTIL_UNKNOWN_SECONDS + drain + _AFTER_DRAIN_SECONDS,
        "securityContext": _pod_security(config),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": names.selector},
            }
        ],
        "containers": [_container(config, image)],
        "volumes": [
            _files(names, found, authorities),
            {"name": "work", "emptyDir": {"medium": "Memory"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": names.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": objects.metadata("", labels=names.selector)["labels"]}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": names.meta(names.base), "spec": spec}


def asks_its_cluster(config: Config) -> bool:
    """Whether the gate reads the members of the cluster that it runs in."""
    return any(cluster.upstream.discover for cluster in config.clusters)


def _pod_security(config: Config) -> Object:
    found: Object = {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if any(listener.address.port < _PRIVILEGED_PORTS for listener in config.listeners):
        # One of the safe ones: no capability is needed for these ports then.
        found["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return found


def _container(config: Config, image: str) -> Object:
    ports = dict.fromkeys(listener.address.port for listener in config.listeners)
    if config.metrics is not None and not config.metrics.address.is_loopback:
        ports[config.metrics.address.port] = None
    probe = {"tcpSocket": {"port": config.listeners[0].address.port}, "periodSeconds": 5, "timeoutSeconds": 3}
    return {
        "name": "kubegate",
        "image": image,
        "args": ["run", "-c", f"{FOLDER}/{FILE}"],
        "command": ["kubegate"],
        "env": [
            {"name": "HOME", "value": _WORK},
            {"name": "XDG_RUNTIME_DIR", "value": _WORK},
            {"name": "XDG_STATE_HOME", "value": f"{_WORK}/state"},
        ],
        "ports": [{"containerPort": port, "protocol": "TCP"} for port in ports],
        "startupProbe": {**probe, "failureThreshold": 24},
        "readinessProbe": {**probe, "failureThreshold": 2},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": _UNTIL_UNKNOWN_SECONDS}}},
        "resources": RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "gate", "mountPath": FOLDER, "readOnly": True},
            {"name": "work", "mountPath": _WORK},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of the container
        ],
    }


def _files(names: Names, found: Sequence[Site], authorities: Sequence[str]) -> Object:
    """The declared file and what it names, changed in one step whenever a ConfigMap or Secret is."""
    items = [{"key": FILE, "path": FILE}]
    items += [{"key": authority_key(name), "path": authority_path(name)} for name in authorities]
    sources: list[Object] = [{"configMap": {"name": names.config, "items": items}}]
    for site in found:
        if site.opened:
            pair = [
                {"key": "tls.crt", "path": certificate_path(site.name)},
                {"key": "tls.key", "path": key_path(site.name), "mode": 0o440},
            ]
            sources.append({"secret": {"name": names.certificate(site.name), "items": pair}})
    return {"name": "gate", "projected": {"defaultMode": 0o440, "sources": sources}}


def authority_key(cluster: str) -> str:
    """The key of a CA bundle in the ConfigMap."""
    return f"{cluster}-ca.crt"
