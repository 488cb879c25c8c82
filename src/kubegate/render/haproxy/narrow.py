"""What a worker must learn at once when less is allowed than it knows, or when a name leads elsewhere.

Everything goes by clusters, for each worker has backends of its own.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubegate.model.plan import Backend, Frontend, Plan
from kubegate.render.haproxy.backend import names
from kubegate.render.haproxy.limits import ranges_file
from kubegate.render.haproxy.live import Command, Rewrite, Step
from kubegate.render.haproxy.ranges import written
from kubegate.render.haproxy.routes import NOT_OPENED, lookups

_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Steps for a worker, and whose open requests and streams end: of these sections, those from outside these ranges."""

    steps: tuple[Step, ...]
    ends: Mapping[str, _Networks]

    @property
    def by_source(self) -> tuple[str, ...]:
        """The sections of which some sessions end and others may go on."""
        return tuple(section for section, allowed in self.ends.items() if allowed)

    def ends_session(self, section: str, source: str | None) -> bool:
        """Whether a request or stream of a section has to end. If nobody knows who has it, only where nobody may have one."""
        allowed = self.ends.get(section)
        if not allowed or source is None:
            return allowed == ()
        address = ipaddress.ip_address(source)
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
    for front in before.frontends:
        steps += places.moved(front, fronts.get(front.name))
    return Narrowing(tuple(steps), ends)


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

    def _backends(self) -> Mapping[str, str]:
        """The backends of `after` by those that the same clusters have in `before`."""
        known = {backend.cluster: backend for backend in self.before.backends if backend.cluster}
        return {
            backend.name: known[backend.cluster].name
            for backend in self.after.backends
            if backend.cluster in known and known[backend.cluster].opened == backend.opened
        }


def _translated(value: str | None, backends: Mapping[str, str]) -> str | None:
    """A value of a lookup file by the backends of an earlier plan; None if it had none for it."""
    if value is None or value == NOT_OPENED:
        return value
    mark = NOT_OPENED if value.startswith(NOT_OPENED) else ""
    found = backends.get(value.removeprefix(NOT_OPENED))
    return f"{mark}{found}" if found is not None else mark or None
