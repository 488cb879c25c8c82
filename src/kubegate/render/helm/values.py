"""Chart.yaml and the values of a chart, those with private keys apart."""

import base64
from collections.abc import Sequence
from typing import Any

from kubegate.render.in_cluster import ClusterOptions
from kubegate.render.kubernetes.gate_file import GateFiles
from kubegate.render.kubernetes.workload import REPLICAS, RESOURCES
from kubegate.render.yaml_text import Object

# Of the form of the chart; what it installs is `appVersion`.
_CHART_VERSION = "0.1.0"


def chart_file(options: ClusterOptions) -> dict[str, Any]:
    """Chart.yaml (Charts, "The Chart.yaml File")."""
    return {
        "apiVersion": "v2",
        "name": "kubegate",
        "description": "The gate in front of the Kubernetes API server.",
        "type": "application",
        "version": _CHART_VERSION,
        "appVersion": options.version,
    }


def values(files: GateFiles, options: ClusterOptions) -> dict[str, Any]:
    """values.yaml. Ports are in the templates: where the gate listens is changed by rendering anew."""
    return {
        "image": options.image,
        "replicas": REPLICAS,
        "service": {"type": "ClusterIP"},
        "resources": RESOURCES,
        "gate": files.text,
        "ca": {name: pem.decode() for name, pem in files.authorities.items()},
        "tls": {},
    }


def keys(secrets: Sequence[Object], options: ClusterOptions) -> dict[str, Any]:
    """The values with certificates and their private keys, by cluster."""
    found = {}
    for one in secrets:
        cluster = one["metadata"]["name"].removeprefix(f"{options.name}-").removesuffix("-tls")
        pair = {key.removeprefix("tls."): base64.b64decode(value).decode() for key, value in one["data"].items()}
        found[cluster] = pair
    return {"tls": found}
