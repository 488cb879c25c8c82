"""What a worker must learn at once when less is allowed than it knows, or when a name leads elsewhere.

Everything goes by clusters, for each worker has backends of its own.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kubegate.model.plan import Backend, Clients, Frontend, Plan
from kubegate.render.haproxy import clients
from kubegate.render.haproxy.backend import names
from kubegate.render.haproxy.frontend import opened_name
from kubegate.render.haproxy.limits import ranges_file
from kubegate.render.haproxy.live import Command, Rewrite, Step
from kubegate.render.haproxy.ranges import written
from kubegate.render.haproxy.routes import NOT_OPENED, lookups
from kubegate.render.haproxy.sources import Carried

_BLOCK = re.compile(rb"-----BEGIN [^-]+-----[^-]+-----END [^-]+-----")
_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Steps for a worker, and whose open requests and streams end.

    `ends`: of these sections, those from outside these ranges. `left`: sections of a listener and of a cluster that it does not
    lead to any more. `unverified`: the same, in workers that take nobody new, where a certificate is asked for now. `revoked`:
    of these listeners' sections, the streams that were let in by these certificates.
    """

    steps: tuple[Step, ...] = ()
    ends: Mapping[str, _Networks] = field(default_factory=dict)
    left: frozenset[tuple[str, str]] = frozenset()
    revoked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unverified: frozenset[tuple[str, str]] = frozenset()

    @property
    def ends_some(self) -> bool:
        """Whether there is anything whose requests and streams end."""
        return bool(self.ends or self.left or self.revoked or self.unverified)

    @property
    def by_source(self) -> tuple[str, ...]:
        """The sections of which some sessions end and others may go on."""
        return tuple(section for section, allowed in self.ends.items() if allowed)

    def ends_session(self, one: Carried, *, takes_new: bool) -> bool:
        """Whether a request or stream has to end. If nobody knows who has it, only where nobody may have one.

        `takes_new` says that the worker that carries it takes new connections.
        """
        place = (one.frontend, one.section)
        if place in self.left or (place in self.unverified and not takes_new):
            return True
        if one.certificate is not None and one.certificate in self.revoked.get(one.frontend, ()):
            return True
        allowed = self.ends.get(one.section)
        if not allowed or one.source is None:
            return allowed == ()
        address = ipaddress.ip_address(one.source)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return not any(address in network for network in allowed)


def narrowing(before: Plan, after: Plan) -> Narrowing:
    """What a worker with the plan `before` must learn, now that `after` is declared."""
    now = {backend.cluster: backend for backend in after.backends if backend.cluster}
    steps: list[Step] = []
    ends: dict[str, _Networks] = {}
    for backend in before.backends:
        if backend.cluster is None:
            continue
        heir = now.get(backend.cluster)
        allowed = _allowed(heir, backend)
        if allowed == backend.allow:
            continue
        steps.append(Rewrite("acl", ranges_file(backend.name), written(allowed)))
        if allowed is not None:
            networks = tuple(ipaddress.ip_network(one) for one in allowed)
            ends.update(dict.fromkeys(names(backend), networks))
    fronts = {front.name: front for front in after.frontends}
    places = _Places(before, after)
    left: set[tuple[str, str]] = set()
    unverified: set[tuple[str, str]] = set()
    revoked: dict[str, frozenset[str]] = {}
    for front in before.frontends:
        after_it = fronts.get(front.name)
        steps += places.moved(front, after_it)
        if after_it is not None:
            for one in places.left(front, after_it):
                section = opened_name(front) if one.opened else front.name
                left.update((section, name) for name in names(one))
            if _stricter(front.clients, after_it.clients):
                unverified.update((opened_name(front), name) for one in places.led(front) for name in names(one))
            if front.clients and after_it.clients and front.clients.revoked != after_it.clients.revoked:
                entries = clients.revoked(after_it.clients)
                steps.append(
                    Rewrite("map", clients.revoked_file(front), tuple(f"{key} {value}" for key, value in entries.items()))
                )
                if new := frozenset(entries) - frozenset(clients.revoked(front.clients)):
                    revoked[opened_name(front)] = new
    return Narrowing(tuple(steps), ends, frozenset(left), revoked, frozenset(unverified))


def _stricter(before: Clients | None, after: Clients | None) -> bool:
    """Whether a listener lets in fewer than it did: it asks for certificates now, or trusts a CA no more."""
    if after is None:
        return False
    if before is None:
        return after.required
    lost = {*_BLOCK.findall(before.ca_pem)} - {*_BLOCK.findall(after.ca_pem)}
    return bool(lost) or (after.required and not before.required)


def _allowed(heir: Backend | None, backend: Backend) -> tuple[str, ...] | None:
    """The ranges that may come to a cluster now; nobody to one that is gone, or whose TLS was opened and is not any more."""
    if heir is None or heir.opened != backend.opened:
        return ()
    return heir.allow


@dataclass(frozen=True, slots=True)
class _Places:
    """Where clusters are in two plans."""

    before: Plan
    after: Plan

    def moved(self, front: Frontend, heir: Frontend | None) -> Iterator[Step]:
        """Names that lead to another cluster now, or nowhere any more. A worker without new clients needs no new ones."""
        wanted = lookups(heir) if heir else {}
        backends = self._backends()
        for file, entries in lookups(front).items():
            # Whoever leads everybody to one cluster looks nothing up.
            heirs = dict.fromkeys(entries, heir.default) if heir and heir.sole else wanted.get(file, {})
            for key, value in entries.items():
                now = _translated(heirs.get(key), backends)
                if now is None:
                    yield Command(f"del map {file} {key}")
                elif now != value:
                    yield Command(f"set map {file} {key} {now}")

    def led(self, front: Frontend) -> Iterator[Backend]:
        """The backends of clusters that a listener leads to."""
        return iter(_reached(front, self.before).values())

    def left(self, front: Frontend, heir: Frontend) -> Iterator[Backend]:
        """The backends of clusters that a listener leads to no more, though they are still there."""
        now = _reached(heir, self.after)
        return (one for cluster, one in _reached(front, self.before).items() if cluster not in now)

    def _backends(self) -> Mapping[str, str]:
        """The backends of `after` by those that the same clusters have in `before`."""
        known = {backend.cluster: backend for backend in self.before.backends if backend.cluster}
        return {
            backend.name: known[backend.cluster].name
            for backend in self.after.backends
            if backend.cluster in known and known[backend.cluster].opened == backend.opened
        }


def _reached(front: Frontend, plan: Plan) -> Mapping[str, Backend]:
    """The backends of clusters that a listener leads to, by the clusters' names."""
    reached = {front.default, *(route.backend for route in front.routes)}
    return {one.cluster: one for one in plan.backends if one.cluster and one.name in reached}


def _translated(value: str | None, backends: Mapping[str, str]) -> str | None:
    """A value of a lookup file by the backends of an earlier plan; None if it had none for it."""
    if value is None or value == NOT_OPENED:
        return value
    mark = NOT_OPENED if value.startswith(NOT_OPENED) else ""
    found = backends.get(value.removeprefix(NOT_OPENED))
    return f"{mark}{found}" if found is not None else mark or None
