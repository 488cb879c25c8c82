"""Standard pods for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster import wait
from tests.cluster.api import Api, ApiError, attempt
from tests.cluster.errors import ClusterError
from tests.cluster.layout import BUSYBOX_IMAGE


def run(
    api: Api, name: str, namespace: str, command: Sequence[str], labels: Mapping[str, str], tools: Path | None
) -> dict[str, Any]:
    """Creates a pod, perhaps with a folder of the node's as `/tools`, and waits until it runs; answers the pod object."""
    wait.until(
        lambda: attempt(lambda: api.json("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")),
        f"namespace {namespace} has its default service account",
    )
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.json("POST", pods, _pod(name, command, labels, tools))
    return wait.until(lambda: _running(api.json("GET", f"{pods}/{name}")), f"pod {namespace}/{name} runs")


def delete(api: Api, name: str, namespace: str) -> None:
    """Removes a pod at once and waits until it is gone."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    api.json("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
    wait.until(lambda: _gone(api, path), f"pod {namespace}/{name} is gone")


def _pod(name: str, command: Sequence[str], labels: Mapping[str, str], tools: Path | None) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "restartPolicy": "Never",
        # The first process of a container does not hear SIGTERM unless it asks to.
        "terminationGracePeriodSeconds": 1,
    }
    if tools:
        container["volumeMounts"] = [{"name": "tools", "mountPath": "/tools", "readOnly": True}]
        spec["volumes"] = [{"name": "tools", "hostPath": {"path": str(tools), "type": "Directory"}}]
    metadata = {"name": name, "labels": {"app": name, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _running(pod: dict[str, Any]) -> dict[str, Any] | None:
    status = pod["status"]
    if status.get("phase") == "Failed":
        raise ClusterError(f"Pod {pod['metadata']['name']} failed: {status.get('containerStatuses', status)}")
    return pod if status.get("phase") in ("Running", "Succeeded") else None


def _gone(api: Api, path: str) -> bool:
    try:
        api.json("GET", path)
    except ApiError as error:
        if error.status == 404:
            return True
        raise
    return False
