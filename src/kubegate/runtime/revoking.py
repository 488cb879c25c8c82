"""`kubegate grants` and `kubegate revoke`: which limited accounts there are, and taking one's rights away."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import log_in
from kubegate.cluster.objects import NAMESPACED, Ref, delete, listed, ref_of, subjects
from kubegate.errors import KubegateError
from kubegate.model.grant import Kind, name_flaw
from kubegate.model.names import closest, printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render.grant import CAN, EXPIRES, GRANT_LABEL, MANAGED_BY, MANAGED_LABEL
from kubegate.runtime.audit_log import last_uses

# In the order in which they are taken away: rights first.
_KINDS = ("ClusterRoleBinding", "RoleBinding", "ServiceAccount", "ClusterRole", "Role", "CertificateSigningRequest")
_BINDINGS = ("ClusterRoleBinding", "RoleBinding")
_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(slots=True)
class Listed:
    """A grant as the cluster has it. What its bindings say is empty where they are gone."""

    name: str
    user: str = ""
    users: set[str] = field(default_factory=set)
    can: str = ""
    namespaces: list[str] = field(default_factory=list)
    everywhere: bool = False
    expires: datetime | None = None
    created: datetime | None = None
    last_use: datetime | None = None
    bound: bool = False
    objects: list[Ref] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)

    @property
    def kind(self) -> Kind:
        """How it logs in."""
        return Kind.TOKEN if self.user.startswith(_ACCOUNT_PREFIX) else Kind.CERTIFICATE


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was taken away, what is left, and rights that others gave the same account, which are theirs to take away."""

    name: str
    removed: tuple[Ref, ...]
    remains: tuple[str, ...]
    foreign: tuple[Ref, ...]
    unknown: tuple[str, ...]
    foreign_means: str = ""


class HalfRevoked(KubegateError):
    """Something could not be taken away."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster is meant, and where in it to look (no namespaces: everywhere)."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: Sequence[str] = ()


async def grants(where: Where, audit_logs: Sequence[Path] = (), environ: Mapping[str, str] = os.environ) -> list[Listed]:
    """All grants, by name. Raises InvalidInput or a ClusterError."""
    context = load(where.kubeconfig, where.context, environ)
    async with ApiClient(context, await log_in(context, environ)) as client:
        found = await _found(client, where, "")
    uses = last_uses(audit_logs, {one.user for one in found if one.user})
    for one in found:
        one.last_use = uses.get(one.user)
    return found


async def revoke(name: str, where: Where, environ: Mapping[str, str] = os.environ) -> Revoked:
    """Take away all rights of a grant, then the rest of it. Raises InvalidInput, a ClusterError or HalfRevoked."""
    if flaw := name_flaw(name):
        raise InvalidInput([Problem("NAME", "grant.name", *flaw)])
    context = load(where.kubeconfig, where.context, environ)
    async with ApiClient(context, await log_in(context, environ)) as client:
        found = next((one for one in await _found(client, where, name)), None)
        if found is None:
            raise InvalidInput([_no_such(name, await _found(client, where, ""))])
        removed, trouble = await _remove(client, found.objects)
        if trouble:
            done = ", ".join(map(str, removed)) or "nothing"
            raise HalfRevoked(
                f"{'; '.join(trouble)}; taken away was: {done}", f"run it again as somebody who may: kubegate revoke {name}"
            )
        foreign, unknown = await _foreign(client, where, found)
    means = (
        "its certificate has them until it expires"
        if found.kind is Kind.CERTIFICATE
        else "nobody has them now; a service account that is made by this name would"
    )
    return Revoked(name, tuple(removed), tuple(_remains(found, where)), tuple(foreign), tuple(unknown), means if foreign else "")


async def _found(client: ApiClient, where: Where, name: str) -> list[Listed]:
    """The grants of this name (empty: all), put together from the objects that carry its label."""
    selector = f"{MANAGED_LABEL}={MANAGED_BY},{GRANT_LABEL}{f'={name}' if name else ''}"
    found: dict[str, Listed] = {}
    for kind in _KINDS:
        try:
            bodies = await listed(client, kind, namespaces=where.namespaces, selector=selector)
        except Refused as error:
            if error.status == 403 and where.namespaces and kind not in NAMESPACED:
                continue
            hint = "name the namespaces that you may look into: --namespace NAME" if error.status == 403 else error.hint
            raise Refused(error.message, hint, status=error.status, reason=error.reason) from None
        for body in bodies:
            _add(found, kind, body)
    return [found[key] for key in sorted(found)]


def _add(found: dict[str, Listed], kind: str, body: Mapping[str, Any]) -> None:
    metadata = body["metadata"]
    name = str((metadata.get("labels") or {}).get(GRANT_LABEL) or "")
    one = found.setdefault(name, Listed(name))
    ref = ref_of(kind, body)
    one.objects.append(ref)
    created = _moment(metadata.get("creationTimestamp"))
    one.created = min(filter(None, (one.created, created)), default=None)
    notes = metadata.get("annotations") or {}
    if kind in _BINDINGS:
        one.bound = True
        users = [user for user in map(_user, subjects(body)) if user]
        one.users.update(users)
        one.user = next(iter(users), one.user)
        one.can = str(notes.get(CAN) or "")
        one.expires = max(filter(None, (one.expires, _moment(notes.get(EXPIRES)))), default=None)
        one.everywhere = one.everywhere or kind == "ClusterRoleBinding"
        one.namespaces += [ref.namespace] if ref.namespace else []
    elif kind == "ServiceAccount":
        account = f"{_ACCOUNT_PREFIX}{ref.namespace}:{ref.name}"
        one.users.add(account)
        one.accounts.add(account)
        one.user = one.user or account


async def _remove(client: ApiClient, refs: Sequence[Ref]) -> tuple[list[Ref], list[str]]:
    removed, trouble = [], []
    for ref in refs:
        try:
            await delete(client, ref)
        except ClusterError as error:
            trouble.append(error.message)
            if not isinstance(error, Refused):
                break
        else:
            removed.append(ref)
    return removed, trouble


async def _foreign(client: ApiClient, where: Where, found: Listed) -> tuple[list[Ref], list[str]]:
    """Bindings of others that name the same account, and where one could not look."""
    left, unknown = [], []
    if where.namespaces:
        places = ", ".join(map(printable, where.namespaces))
        unknown.append(f"rights in other namespaces than {places} were not looked for, and stay: run it without --namespace")
    for kind in _BINDINGS:
        try:
            bodies = await listed(client, kind, namespaces=where.namespaces)
        except Refused:
            unknown.append(f"whether a {kind} of somebody else names it could not be seen: this user may not list them")
            continue
        left += [ref_of(kind, body) for body in bodies if any(_user(one) in found.users for one in subjects(body))]
    own = {ref.uid for ref in found.objects}
    return [ref for ref in left if ref.uid not in own], unknown


def _user(subject: Mapping[str, Any]) -> str:
    """The user name of whom a binding names, empty for groups."""
    if subject.get("kind") == "ServiceAccount":
        return f"{_ACCOUNT_PREFIX}{subject.get('namespace')}:{subject.get('name')}"
    return str(subject.get("name") or "") if subject.get("kind") == "User" else ""


def _remains(found: Listed, where: Where) -> list[str]:
    streams = (
        "what it has open already (a watch, a followed log, exec, port-forward) goes on until it ends: "
        "API servers look at rights when a request begins"
    )
    elsewhere = "those in other namespaces, and " if where.namespaces else ""
    everybody = f"{elsewhere}those of everybody who is logged in (group system:authenticated)"
    until = f"until {found.expires:%Y-%m-%d %H:%M} UTC" if found.expires else "until it expires"
    remains = []
    for user in sorted(found.users) or [found.user]:
        if not user.startswith(_ACCOUNT_PREFIX):
            remains.append(
                f"its certificate logs in as {printable(user)} {until}, for no API server asks whether one was revoked; "
                f"it has no rights but {everybody}, and this user name is never given to anybody again"
            )
        elif user in found.accounts:
            remains.append(
                "its tokens are of no use: an API server may take one for some seconds more, without any right but "
                f"{everybody}, and then refuses it, also when there is a service account of this name again"
            )
        else:
            remains.append(
                f"the service account of {printable(user)} was not found where it was looked for: "
                "if there is one, its tokens log in"
            )
    return [*remains, streams]


def _no_such(name: str, others: Sequence[Listed]) -> Problem:
    names = [one.name for one in others]
    meant = closest(name, names)
    hint = f"is {printable(meant)} meant?" if meant else "kubegate grants lists them"
    return Problem("NAME", "grant.unknown", f"there is no grant {name}", hint if names else "there are none at all")


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None


def listed_facts(one: Listed) -> dict[str, object]:
    """A grant, for scripts."""
    seconds = int((one.expires - datetime.now(UTC)).total_seconds()) if one.expires else None
    return {
        "name": one.name,
        "credential": str(one.kind),
        "user": one.user,
        "namespaces": sorted(one.namespaces),
        "allNamespaces": one.everywhere,
        "can": one.can,
        "created": one.created.isoformat() if one.created else None,
        "expires": one.expires.isoformat() if one.expires else None,
        "secondsLeft": seconds,
        "lastUse": one.last_use.isoformat() if one.last_use else None,
        "bound": one.bound,
        "objects": [str(ref) for ref in one.objects],
    }


def revoked_facts(found: Revoked) -> dict[str, object]:
    """What became of a grant, for scripts."""
    return {
        "name": found.name,
        "removed": [str(ref) for ref in found.removed],
        "remains": list(found.remains),
        "boundByOthers": [str(ref) for ref in found.foreign],
        "boundByOthersMeans": found.foreign_means,
        "unknown": list(found.unknown),
    }
