"""The JSON documents of a Kubernetes API, as far as the stand-in speaks it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]

API_VERSIONS: Document = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
API_GROUPS: Document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
VERSION: Document = {"major": "0", "minor": "0", "gitVersion": "v0.0.0-stand-in", "platform": "linux/stand-in"}
_READ = ["get", "list", "watch"]
API_RESOURCES: Document = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [
        {
            "name": "namespaces",
            "singularName": "namespace",
            "namespaced": False,
            "kind": "Namespace",
            "verbs": _READ,
            "shortNames": ["ns"],
        },
        {
            "name": "serviceaccounts/token",
            "singularName": "",
            "namespaced": True,
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        },
    ],
}
_COLUMNS = [
    {"name": name, "type": "string", "format": form, "description": text, "priority": 0}
    for name, form, text in (
        ("Name", "name", "Its name."),
        ("Status", "", "Active, or Terminating while it is being deleted."),
        ("Age", "", "How long ago it was created."),
    )
]
_AGES = ((120, 1, "s"), (2 * 3600, 60, "m"), (48 * 3600, 3600, "h"))


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace, as it was at one version of the stand-in's state."""

    name: str
    uid: str
    created: datetime
    phase: str
    version: int

    def metadata(self) -> Document:
        """Its metadata."""
        return {
            "name": self.name,
            "uid": self.uid,
            "resourceVersion": str(self.version),
            "creationTimestamp": timestamp(self.created),
            "labels": {"kubernetes.io/metadata.name": self.name},
        }

    def document(self) -> Document:
        """The whole object."""
        finalizers = {"finalizers": ["kubernetes"]}
        status = {"phase": self.phase}
        return {"kind": "Namespace", "apiVersion": "v1", "metadata": self.metadata(), "spec": finalizers, "status": status}


def timestamp(moment: datetime) -> str:
    """A time (UTC) as Kubernetes writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def namespace_list(items: list[Namespace], version: int) -> Document:
    """The namespaces at a version."""
    documents = [{key: part for key, part in item.document().items() if key not in ("kind", "apiVersion")} for item in items]
    return {"kind": "NamespaceList", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}, "items": documents}


def table(items: list[Namespace], version: int, now: datetime) -> Document:
    """The namespaces as kubectl asks for them: the rows that it prints."""
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    rows = [
        {"cells": [item.name, item.phase, _age(now - item.created)], "object": partial | {"metadata": item.metadata()}}
        for item in items
    ]
    metadata = {"resourceVersion": str(version)}
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": _COLUMNS, "rows": rows}


def token_request(namespace: str, name: str, token: str, expires: datetime, seconds: int) -> Document:
    """The answer to a request for a token."""
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": timestamp(expires)},
    }


def status(code: int, reason: str, message: str) -> Document:
    """An error as Kubernetes says it."""
    failure = {"status": "Failure", "message": message, "reason": reason, "code": code}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}} | failure


def _age(elapsed: timedelta) -> str:
    seconds = int(elapsed.total_seconds())
    for below, unit, letter in _AGES:
        if seconds < below:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86400}d"
