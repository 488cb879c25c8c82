"""What the local proxy lets pass, resolved: the pattern lists of `kubectl proxy`, and rules that know Kubernetes' resources."""

import re
from dataclasses import dataclass

from kubegate.model.patterns import Pattern, read_pattern
from kubegate.model.problem import Problem

DEFAULT_ACCEPT_HOSTS = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"
DEFAULT_ACCEPT_PATHS = "^.*"
DEFAULT_REJECT_PATHS = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach"
DEFAULT_REJECT_METHODS = "^$"

ANY = "*"

_RESOURCE = re.compile(r"(?P<resource>\*|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?P<group>\.[a-z0-9.-]*)?(?:/(?P<sub>[a-z0-9-]+))?")
_VERSION = re.compile(r"\.v[0-9]+(?:(?:alpha|beta)[0-9]+)?(?:\.|$)")
# Names that kubectl takes for a resource and an API server does not: a rule for one would never apply.
_NOT_PLURAL = {
    "cm": "configmaps",
    "configmap": "configmaps",
    "crd": "customresourcedefinitions",
    "csr": "certificatesigningrequests",
    "daemonset": "daemonsets",
    "deploy": "deployments",
    "deployment": "deployments",
    "ds": "daemonsets",
    "endpoint": "endpoints",
    "ep": "endpoints",
    "ev": "events",
    "event": "events",
    "ing": "ingresses",
    "ingress": "ingresses",
    "job": "jobs",
    "namespace": "namespaces",
    "netpol": "networkpolicies",
    "no": "nodes",
    "node": "nodes",
    "ns": "namespaces",
    "persistentvolume": "persistentvolumes",
    "persistentvolumeclaim": "persistentvolumeclaims",
    "po": "pods",
    "pod": "pods",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "quota": "resourcequotas",
    "rc": "replicationcontrollers",
    "role": "roles",
    "rolebinding": "rolebindings",
    "rs": "replicasets",
    "sa": "serviceaccounts",
    "sc": "storageclasses",
    "secret": "secrets",
    "service": "services",
    "serviceaccount": "serviceaccounts",
    "statefulset": "statefulsets",
    "sts": "statefulsets",
    "svc": "services",
}


@dataclass(frozen=True, slots=True)
class DeniedResource:
    """What `--deny` names: None for any group and any subresource, the resource itself included; `*` for any resource."""

    group: str | None
    resource: str
    subresource: str | None

    def __str__(self) -> str:
        group = "" if self.group is None else f".{self.group}"
        return f"{self.resource}{group}" + (f"/{self.subresource}" if self.subresource else "")


@dataclass(frozen=True, slots=True)
class Filters:
    """Everything that decides whether a request may pass. `disabled` switches the pattern lists off, and nothing else."""

    accept_hosts: tuple[Pattern, ...]
    accept_paths: tuple[Pattern, ...]
    reject_paths: tuple[Pattern, ...]
    reject_methods: tuple[Pattern, ...]
    read_only: bool = False
    deny: tuple[DeniedResource, ...] = ()
    disabled: bool = False

    @property
    def guarded(self) -> bool:
        """Whether a rule that knows resources is in force."""
        return self.read_only or bool(self.deny)


def default_filters() -> Filters:
    """Those of `kubectl proxy` without flags."""
    return Filters(
        accept_hosts=_patterns(DEFAULT_ACCEPT_HOSTS),
        accept_paths=_patterns(DEFAULT_ACCEPT_PATHS),
        reject_paths=_patterns(DEFAULT_REJECT_PATHS),
        reject_methods=_patterns(DEFAULT_REJECT_METHODS),
    )


def read_denied(flag: str, texts: list[str]) -> tuple[tuple[DeniedResource, ...], list[Problem]]:
    """Resources as `--deny` names them, separated by commas or by repeating the flag, and what is wrong with the others.

    `secrets`, `deployments.apps`, `pods/exec`, `*/proxy`, `*.apps`; `secrets.` is the group without a name.
    """
    denied: list[DeniedResource] = []
    problems: list[Problem] = []
    for text in (piece.strip() for value in texts for piece in value.split(",")):
        found = _RESOURCE.fullmatch(text)
        if found is None:
            hint = "write the plural in lower case, as in secrets, deployments.apps, pods/exec or */proxy"
            problems.append(Problem(flag, "deny.form", f"{text!r} is not the name of a resource", hint))
        elif found["group"] and _VERSION.match(found["group"]):
            hint = "write the resource and its group: a rule is for every version"
            problems.append(Problem(flag, "deny.version", f"{text!r} names a version", hint))
        elif plural := _NOT_PLURAL.get(found["resource"]):
            hint = f"write {text.replace(found['resource'], plural, 1)}"
            problems.append(Problem(flag, "deny.short", f"the API server calls {found['resource']!r} {plural}", hint))
        else:
            group = None if found["group"] is None else found["group"][1:]
            denied.append(DeniedResource(group, found["resource"], found["sub"]))
    return tuple(denied), problems


def _patterns(text: str) -> tuple[Pattern, ...]:
    return tuple(read_pattern(piece) for piece in text.split(","))
