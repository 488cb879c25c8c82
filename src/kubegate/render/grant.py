"""A grant as Kubernetes objects: what `kubegate grant` creates, and what `--print` writes. Labelled so that it is found again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import yaml

from kubegate.model.grant import Grant, Kind, Rule

RBAC = "rbac.authorization.k8s.io"
GRANT_LABEL = "kubegate.dev/grant"
MANAGED_LABEL, MANAGED_BY = "app.kubernetes.io/managed-by", "kubegate"
CAN, EXPIRES = "kubegate.dev/can", "kubegate.dev/expires"

Manifest = dict[str, Any]


def labels(name: str) -> dict[str, str]:
    """The labels of everything that belongs to a grant."""
    return {MANAGED_LABEL: MANAGED_BY, GRANT_LABEL: name}


def object_name(grant: Grant) -> str:
    """The name of its roles and bindings."""
    return f"kubegate-grant-{grant.name}"


def account(grant: Grant) -> Manifest:
    """Its service account; pods that run as it get no token by themselves."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": grant.name, "namespace": grant.home, "labels": labels(grant.name)},
        "automountServiceAccountToken": False,
    }


def roles(grant: Grant) -> list[Manifest]:
    """A Role in each namespace, or one ClusterRole."""
    rules = [_rule(rule) for rule in grant.rules]
    kind = "ClusterRole" if grant.everywhere else "Role"
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules} for metadata in _metadata(grant, None)
    ]


def bindings(grant: Grant, expires: datetime | None) -> list[Manifest]:
    """What gives the account those roles; they keep what `kubegate grants` tells."""
    role = "ClusterRole" if grant.everywhere else "Role"
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{role}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": role, "name": object_name(grant)},
            "subjects": [subject(grant)],
        }
        for metadata in _metadata(grant, expires)
    ]


def subject(grant: Grant) -> Manifest:
    """The account as a binding names it."""
    if grant.kind is Kind.TOKEN:
        return {"kind": "ServiceAccount", "name": grant.name, "namespace": grant.home}
    return {"apiGroup": RBAC, "kind": "User", "name": grant.user}


def to_yaml(manifests: Sequence[Manifest]) -> str:
    """Several objects as one YAML text, for `kubectl apply -f -`."""
    return "---\n".join(yaml.safe_dump(one, sort_keys=False, width=120) for one in manifests)


def _metadata(grant: Grant, expires: datetime | None) -> list[Manifest]:
    notes = {CAN: grant.can}
    if expires is not None:
        notes[EXPIRES] = expires.isoformat()
    plain = {"name": object_name(grant), "labels": labels(grant.name), "annotations": notes}
    return [plain] if grant.everywhere else [plain | {"namespace": namespace} for namespace in grant.namespaces]


def _rule(rule: Rule) -> Manifest:
    if rule.urls:
        return {"nonResourceURLs": list(rule.urls), "verbs": list(rule.verbs)}
    return {"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)}
