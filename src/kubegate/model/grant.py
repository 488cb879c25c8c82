"""What a limited account may do, from the words of a person to rules of RBAC. Pure: what resources there are is given."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubegate.model.names import closest, printable
from kubegate.model.problem import Problem

STANDARD_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
# Verbs that no list of resources names, and where Kubernetes asks for them.
SPECIAL_VERBS = ("use", "bind", "escalate", "impersonate", "approve", "sign", "attest", "proxy")
LONGEST_NAME = 40
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9][-a-z0-9]*(\.[-a-z0-9.]+)?(/[a-z0-9]+)?")


class Kind(StrEnum):
    """How the account logs in."""

    TOKEN = "token"  # noqa: S105
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A resource that an API server has: `name` is `pods` or `pods/log`, `group` empty for the core."""

    group: str
    name: str
    namespaced: bool
    verbs: frozenset[str]
    others: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As a person writes it: `deployments.apps/scale`."""
        plain, _, below = self.name.partition("/")
        return f"{plain}{'.' if self.group else ''}{self.group}{'/' if below else ''}{below}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of RBAC: these verbs on these resources of one group, or on these paths of the API server."""

    verbs: tuple[str, ...]
    group: str = ""
    resources: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """For people: `get, list pods, pods/log`."""
        suffix = f".{self.group}" if self.group else ""
        names = [f"{plain}{suffix}{slash}{below}" for plain, slash, below in (one.partition("/") for one in self.resources)]
        return f"{','.join(self.verbs)} {','.join(names or self.urls)}"


@dataclass(frozen=True, slots=True)
class Can:
    """What was typed after `--can`, taken apart."""

    verbs: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A limited account. `namespaces` are those in which the rules hold, none for the whole cluster; `home` is that of its
    service account; `user` is its user name, which for a certificate is never used again."""

    name: str
    kind: Kind
    user: str
    home: str
    namespaces: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def everywhere(self) -> bool:
        """Whether the rules hold in the whole cluster."""
        return not self.namespaces

    @property
    def can(self) -> str:
        """The rules in one line."""
        return "; ".join(rule.shown for rule in self.rules)


def name_flaw(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a grant, and what to do; None if nothing is."""
    if name.lower().startswith("system:"):
        return "names of system: belong to Kubernetes itself", "choose a name of your own, as in ci-reader"
    if len(name) > LONGEST_NAME:
        return f"has {len(name)} characters, and {LONGEST_NAME} is the most", "choose a shorter name"
    if not _NAME.fullmatch(name):
        return f"'{printable(name)}' is no name", "use lower-case letters, digits and dashes, as in ci-reader"
    return None


def parse_can(text: str) -> tuple[Can | None, list[Problem]]:
    """Read `VERBS RESOURCES`, both separated by commas, as in `get,list pods,pods/log`."""
    where = f"--can '{printable(text)}'"
    hint = "write VERBS and RESOURCES with a space between, as in 'get,list,watch pods,pods/log'"
    words = text.split()
    if len(words) != 2:
        return None, [_problem(where, "can", f"has {len(words)} parts, and two were expected", hint)]
    verbs, targets = (tuple(dict.fromkeys(part.split(","))) for part in words)
    problems = [found for verb in verbs if (found := _verb_flaw(where, verb))]
    problems += [found for target in targets if (found := _target_flaw(where, target))]
    return (None, problems) if problems else (Can(verbs, targets), [])


def _verb_flaw(where: str, verb: str) -> Problem | None:
    if verb in STANDARD_VERBS or verb in SPECIAL_VERBS:
        return None
    if verb == "*":
        return _problem(where, "can", "'*' would be every verb that there will ever be", "name those that are needed")
    meant = closest(verb, (*STANDARD_VERBS, *SPECIAL_VERBS))
    hint = f"is {meant} meant?" if meant else f"the verbs are {', '.join((*STANDARD_VERBS, *SPECIAL_VERBS))}"
    return _problem(where, "can", f"'{printable(verb)}' is no verb", hint)


def _target_flaw(where: str, target: str) -> Problem | None:
    if "*" in target and not target.startswith("/"):
        message = "'*' would be every resource, secrets among them, and all that there will ever be"
        return _problem(where, "can", message, "name those that are needed")
    if target.startswith("/"):
        if "*" in target[:-1] or not target.isprintable():
            return _problem(where, "can", f"'{printable(target)}' is no path: * stands at its end only")
        return None
    if not _RESOURCE.fullmatch(target):
        hint = "write the plural in lower case, as in pods, pods/log or deployments.apps"
        return _problem(where, "can", f"'{printable(target)}' is no resource", hint)
    return None


def rules_of(cans: Sequence[Can], known: Sequence[ApiResource], *, everywhere: bool) -> tuple[tuple[Rule, ...], list[Problem]]:
    """The rules for what was typed. `known` are the API server's resources, those that a bare name means first coming first."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    for can in cans:
        found: dict[str, list[str]] = {}
        for target in can.targets:
            if target.startswith("/"):
                continue
            resource = _resolve(target, known)
            if resource is None:
                problems.append(_unknown(target, known))
                continue
            problems += _unfit(can, resource, everywhere)
            found.setdefault(resource.group, []).append(resource.name)
        rules += [Rule(can.verbs, group, tuple(names)) for group, names in found.items()]
        urls = tuple(target for target in can.targets if target.startswith("/"))
        if urls and not everywhere:
            message = f"{', '.join(urls)} are paths of the API server, which are in no namespace"
            problems.append(_problem("--can", "scope", message, "add --all-namespaces instead of --namespace"))
        if urls:
            rules.append(Rule(can.verbs, urls=urls))
    return tuple(rules), problems


def _resolve(target: str, known: Sequence[ApiResource]) -> ApiResource | None:
    plain, slash, below = target.partition("/")
    name, _, group = plain.partition(".")
    wanted = f"{name}{slash}{below}"
    return next((one for one in known if one.name == wanted and (not group or one.group == group)), None)


def _unknown(target: str, known: Sequence[ApiResource]) -> Problem:
    message = f"the API server has no resource {target}"
    short = next((one for one in known if target in one.others), None)
    meant = short.shown if short else closest(target, [one.shown for one in known])
    hint = f"is {meant} meant?" if meant else "kubectl api-resources lists them"
    return _problem("--can", "resource", message, hint)


def _unfit(can: Can, resource: ApiResource, everywhere: bool) -> Iterable[Problem]:
    if not resource.namespaced and not everywhere:
        message = f"{resource.shown} are in no namespace"
        yield _problem("--can", "scope", message, "add --all-namespaces instead of --namespace, or leave them out")
    useful = [verb for verb in can.verbs if verb in resource.verbs or verb in SPECIAL_VERBS]
    if resource.verbs and not useful:
        message = f"{','.join(can.verbs)} does nothing on {resource.shown}"
        yield _problem("--can", "verb", message, f"it knows {', '.join(sorted(resource.verbs))}")


# What leads to more than it says, and why: verb (any of), group, resource.
_STRONG: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("get", "list", "watch"), "", "secrets", "secrets hold the credentials of others"),
    (("create", "get"), "", "pods/exec", "commands run in pods have the rights of their service accounts"),
    (("create", "get"), "", "pods/attach", "whoever attaches to a pod has the rights of its service account"),
    (("update", "patch"), "", "pods/ephemeralcontainers", "containers put into pods have the rights of their service accounts"),
    (("create", "update", "patch"), "", "pods", "new pods run as any service account of the namespace, and see its secrets"),
    (("create", "update", "patch"), "apps", "deployments", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "apps", "replicasets", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "", "replicationcontrollers", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "apps", "daemonsets", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "apps", "statefulsets", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "batch", "jobs", "its pods run as any service account of the namespace"),
    (("create", "update", "patch"), "batch", "cronjobs", "its pods run as any service account of the namespace"),
    (("create",), "", "serviceaccounts/token", "it can make itself tokens of other accounts"),
    (("impersonate",), "", "users", "it can act as anybody"),
    (("impersonate",), "", "groups", "it can act as a member of any group"),
    (("impersonate",), "", "serviceaccounts", "it can act as any service account"),
    (("bind", "escalate"), "rbac.authorization.k8s.io", "roles", "it can give itself rights that it has not"),
    (("bind", "escalate"), "rbac.authorization.k8s.io", "clusterroles", "it can give itself rights that it has not"),
    (("get", "create", "proxy"), "", "nodes/proxy", "the kubelet runs commands in every pod of the node for it"),
    (("update", "patch"), "certificates.k8s.io", "certificatesigningrequests/approval", "it can approve certificates of others"),
)


def strong_rights(rules: Iterable[Rule]) -> list[str]:
    """Sentences about rights that lead to more than they say."""
    found = {}
    for rule in rules:
        for verbs, group, resource, why in _STRONG:
            used = [verb for verb in rule.verbs if verb in verbs]
            if used and group == rule.group and resource in rule.resources:
                shown = Rule(tuple(used), group, (resource,)).shown
                found[shown] = f"{shown}: {why}"
    return list(found.values())


def _problem(where: str, code: str, message: str, hint: str = "") -> Problem:
    return Problem(where, f"grant.{code}", message, hint)
