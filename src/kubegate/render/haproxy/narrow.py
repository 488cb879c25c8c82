"""What a worker must learn at once when less is allowed than it knows: by clusters, for each worker has backends of its own."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from kubegate.model.plan import Backend, Frontend, Plan
from kubegate.render.haproxy.backend import names
from kubegate.render.haproxy.limits import ranges_file
from kubegate.render.haproxy.live import Command, Rewrite, Step

_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Steps for a worker, and whose open requests and streams end: of these sections, those from outside these ranges."""

    steps: tuple[Step, ...]
    ends: Mapping[str, _Networks]

    def ends_session(self, section: str, source: str) -> bool:
        """Whether a request or stream of a section, from this address, has to end."""
        allowed = self.ends.get(section)
        if allowed is None:
            return False
        try:
            address = ipaddress.ip_address(source)
        except ValueError:
            return True
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
        ranges = ("0.0.0.0/0", "::/0") if allowed is None else allowed
        steps.append(Rewrite("acl", ranges_file(backend.name), ranges))
        if allowed is not None:
            networks = tuple(ipaddress.ip_network(one) for one in allowed)
            ends.update(dict.fromkeys(names(backend), networks))
    fronts = {front.name: front for front in after.frontends}
    for front in before.frontends:
        steps += _forgotten_names(front, fronts.get(front.name))
    return Narrowing(tuple(steps), ends)


def _allowed(heir: Backend | None, backend: Backend) -> tuple[str, ...] | None:
    """The ranges that may come to a cluster now; nobody to one that is gone, or whose TLS was opened and is not any more."""
    if heir is None or heir.opened != backend.opened:
        return ()
    return heir.allow


def _forgotten_names(front: Frontend, heir: Frontend | None) -> list[Step]:
    if front.sole:
        return []
    kept = {(route.host, route.opened) for route in heir.routes} if heir else set()
    steps: list[Step] = []
    for route in front.routes:
        if (route.host, route.opened) not in kept:
            if front.opens:
                steps.append(Command(f"del map {front.name}-hosts.map {route.host}"))
            if not route.opened:
                steps.append(Command(f"del map {front.name}-passthrough.map {route.host}"))
    return steps
