"""Whether a node may have the certificate that it asks for: decided from values, and said as a sentence.

Three answers. What is wrong is denied, with the reason, for good. What is proven is approved. What may be right and cannot be
proven stays pending until a person decides. Whatever might be another answer a moment later is asked again, and never denied.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kubegate.bootstrap.csr import Csr
from kubegate.bootstrap.holders import Holder, Holders, plain
from kubegate.bootstrap.signers import KUBELET_CLIENT, KUBELET_SERVING, NODE_GROUP, Asked, node_name, shape_problems
from kubegate.bootstrap.signing_request import NotOneRequest, SigningRequest, read_request

# RFC 1123 subdomain, what Kubernetes takes as the name of an object.
_NODE_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Verdict(StrEnum):
    """What is to be done with a request. AGAIN: something did not answer; ask again."""

    APPROVE = "approve"
    DENY = "deny"
    WAIT = "wait"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is one word for a condition or an event, `message` a sentence. `node` is whom an approval is for, with the
    names and addresses that it proves (`claimed`) and the key."""

    verdict: Verdict
    reason: str
    message: str
    node: str = ""
    claimed: tuple[str, ...] = ()
    key: str = ""


class Pattern(Protocol):
    """A compiled pattern, of `re` or RE2."""

    def fullmatch(self, text: str, /) -> object:
        """Something true if it accepts all of a text."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed. `groups` may bootstrap nodes whose names `names` accepts; `longest` is a lifetime in seconds.

    With `resolve` each DNS name of a serving certificate has to lead to addresses of its node and nowhere else.
    """

    groups: frozenset[str]
    names: Sequence[Pattern]
    longest: int | None = None
    resolve: bool = False

    def allows_name(self, name: str) -> bool:
        """Whether a node may have this name; a pattern has to accept all of it."""
        return any(pattern.fullmatch(name) for pattern in self.names)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a node by earlier decisions: addresses and names that were confirmed, keys that it had, and how long
    a client certificate that was approved for it is valid. `request` is the uid of the last request that was approved."""

    confirmed: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    client_until: datetime | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`inventory` says which names and addresses a node has, from a source that it does not control; `keys` which node a
    public key (SHA-256 in hex) belongs to; `resolved` where DNS names lead, None where no server answered."""

    now: datetime
    holders: Holders
    records: Mapping[str, Record] = field(default_factory=dict)
    inventory: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    resolved: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def record(self, node: str) -> Record:
        """That of a node, an empty one if there is none."""
        return self.records.get(node, Record())


def decide(csr: Csr, policy: Policy, facts: Facts) -> Decision | None:
    """What to do with a pending request; None where its signer is none of the two for nodes."""
    if csr.signer not in (KUBELET_CLIENT, KUBELET_SERVING):
        return None
    try:
        request = read_request(csr.request)
    except NotOneRequest as error:
        return _deny("NotOneRequest", str(error))
    wrong = shape_problems(csr.signer, Asked(request, csr.usages)) + _strictness(request)
    if wrong:
        return _deny("WrongShape", "; ".join(wrong))
    name = node_name(request.common_name)
    if not _NODE_NAME.fullmatch(name):
        return _deny("WrongName", f"{request.common_name!r} is no name of a node")
    if policy.longest is not None and csr.seconds is not None and csr.seconds > policy.longest:
        return _deny("TooLong", f"it asks for {csr.seconds} s, and {policy.longest} s are allowed")
    owner = facts.keys.get(request.key_sha256, name)
    if owner != name:
        return _deny("KeyReused", f"its key is that of node {owner}")
    judge = _client if csr.signer == KUBELET_CLIENT else _serving
    return judge(csr, request, name, policy, facts)


def _strictness(request: SigningRequest) -> list[str]:
    """What the signers pass over, and a kubelet never sends."""
    problems = []
    if len(request.common_names) > 1 or request.other_attributes:
        problems.append("its subject has more than one common name, or something beside it and the organisation")
    if request.other_names:
        problems.append("it has alternative names of an unusual kind")
    if request.extensions:
        problems.append(f"it asks for other extensions ({', '.join(request.extensions)})")
    return problems


def _client(csr: Csr, request: SigningRequest, name: str, policy: Policy, facts: Facts) -> Decision:
    if _is_node(csr, name):
        return Decision(Verdict.APPROVE, "NodeRenews", f"node {name} renews its own", name, key=request.key_sha256)
    if NODE_GROUP in csr.groups:
        return _deny("AnotherNode", f"{csr.user} asks for a certificate of node {name}")
    if not policy.groups & frozenset(csr.groups):
        return _deny("NotABootstrapper", f"{csr.user} is in none of the groups that may bootstrap nodes")
    if not policy.allows_name(name):
        return _deny("NameNotAllowed", f"no rule allows a node to be called {name}")
    record = facts.record(name)
    if record.request != csr.uid:
        if name in facts.holders.nodes:
            return _wait("NodeExists", f"there is a node {name}, and whoever asks has not proven to be it")
        if record.client_until is not None and facts.now < record.client_until:
            message = f"a certificate for node {name} is valid until {record.client_until:%Y-%m-%d %H:%M} UTC"
            return _wait("CertificateExists", f"{message}, and whoever asks has not proven to be it")
    message = f"{name} is a new name, and {csr.user} may bootstrap it"
    return Decision(Verdict.APPROVE, "NewNode", message, name, key=request.key_sha256)


def _serving(csr: Csr, request: SigningRequest, name: str, policy: Policy, facts: Facts) -> Decision:
    if not _is_node(csr, name):
        return _deny("AnotherNode", f"{csr.user} asks for a certificate of node {name}")
    if stolen := [found for claimed in request.names if (found := _stolen(claimed, name, facts))]:
        return _deny("NameOfAnother", "; ".join(stolen))
    known = frozenset(map(plain, (name, *facts.inventory.get(name, ()), *facts.record(name).confirmed)))
    unproven = [claimed for claimed in request.names if plain(claimed) not in known]
    if unproven:
        return _wait("NotProven", f"nothing but the node itself says that it has {', '.join(unproven)}")
    if disputed := [found for claimed in request.names if (found := _disputed(claimed, name, facts))]:
        return _wait("Disputed", "; ".join(disputed))
    if policy.resolve and (other := _led_elsewhere(request, known, facts)):
        return other
    message = f"each name in it is proven to be that of node {name}"
    return Decision(Verdict.APPROVE, "NamesProven", message, name, request.names, request.key_sha256)


def _is_node(csr: Csr, name: str) -> bool:
    return node_name(csr.user) == name and NODE_GROUP in csr.groups


def _others(claimed: str, name: str, facts: Facts) -> tuple[Holder, ...]:
    return tuple(one for one in facts.holders.of(claimed) if one != Holder("Node", name))


def _stolen(claimed: str, name: str, facts: Facts) -> str:
    """Whom it belongs to instead, in words. What a node says of its addresses proves nothing, against others neither."""
    whose = [one for one in _others(claimed, name, facts) if one.kind != "Node" or plain(one.name) == plain(claimed)]
    whose += [Holder("Node", node) for node in _owners(claimed, facts) if node != name]
    return f"{claimed} belongs to {', '.join(map(str, dict.fromkeys(whose)))}" if whose else ""


def _owners(claimed: str, facts: Facts) -> list[str]:
    wanted = plain(claimed)
    listed = [node for node, names in facts.inventory.items() if wanted in map(plain, names)]
    return listed + [node for node, record in facts.records.items() if wanted in map(plain, record.confirmed)]


def _disputed(claimed: str, name: str, facts: Facts) -> str:
    others = _others(claimed, name, facts)
    return f"{', '.join(map(str, others))} claims {claimed}, which is proven to be that of node {name}" if others else ""


def _led_elsewhere(request: SigningRequest, known: frozenset[str], facts: Facts) -> Decision | None:
    for name in request.dns_names:
        found = facts.resolved.get(name)
        if found is None:
            return Decision(Verdict.AGAIN, "NotResolved", f"no name server answered for {name}")
        if not found:
            return _wait("NoAddress", f"{name} has no address")
        if foreign := sorted(address for address in found if plain(address) not in known):
            return _wait("LeadsElsewhere", f"{name} leads to {', '.join(foreign)}, which is not proven to be the node's")
    return None


def _deny(reason: str, message: str) -> Decision:
    return Decision(Verdict.DENY, reason, message)


def _wait(reason: str, message: str) -> Decision:
    return Decision(Verdict.WAIT, reason, message)
