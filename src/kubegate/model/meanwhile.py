"""What a gate runs while a reload has to wait: everything that is declared now and needs none."""

from dataclasses import replace

from kubegate.model.plan import Backend, Clients, Frontend, Plan, Route, Shown


def meanwhile(running: Plan, wanted: Plan) -> Plan:
    """The running plan with certificates, names, API servers, ranges and limits of the wanted one. What needs a reload stays."""
    heirs = {backend.cluster: backend for backend in wanted.backends if backend.cluster}
    known = {backend.cluster for backend in running.backends}
    new = {backend.name: backend for cluster, backend in heirs.items() if cluster not in known}
    backends = tuple(_backend(backend, heirs) if backend.cluster else _filled(backend, new) for backend in running.backends)
    fronts = {front.name: front for front in wanted.frontends}
    places = _places(wanted, backends)
    # They are to be opened instead of passed through, or the other way round: until then they serve as they do.
    waiting = {one.name for one in backends if one.cluster in heirs and heirs[one.cluster].opened != one.opened}
    return replace(
        running,
        frontends=tuple(_frontend(front, fronts.get(front.name), places, waiting) for front in running.frontends),
        backends=backends,
    )


def _backend(backend: Backend, heirs: dict[str, Backend]) -> Backend:
    heir = heirs.get(backend.cluster or "")
    if heir is None:
        return replace(backend, servers=(), verification=None, cluster=None, allow=())
    if heir.opened != backend.opened:
        return backend
    return replace(
        backend,
        tls=heir.tls,
        servers=heir.servers,
        verification=heir.verification,
        allow=heir.allow,
        max_carried=_number(backend.max_carried, heir.max_carried),
        requests_per_second=_number(backend.requests_per_second, heir.requests_per_second),
    )


def _filled(place: Backend, new: dict[str, Backend]) -> Backend:
    """A place that waits for a cluster, with the new one that fits in there."""
    heir = new.get(place.name)
    return heir if heir is not None and _lasting(heir) == _lasting(place) else place


def _lasting(backend: Backend) -> tuple[object, ...]:
    """What only a reload can change."""
    limited = backend.max_carried is None, backend.requests_per_second is None
    return backend.opened, backend.balance, backend.health, backend.timeouts, limited


def _number(running: int | None, wanted: int | None) -> int | None:
    """Whether there is a limit is a matter of a reload, which number it has is not."""
    return running if running is None or wanted is None else wanted


def _places(wanted: Plan, backends: tuple[Backend, ...]) -> dict[str, str]:
    """The backends of `wanted` whose clusters run as they are wanted, and where they run."""
    at = {backend.cluster: backend for backend in backends if backend.cluster}
    return {
        backend.name: at[backend.cluster].name
        for backend in wanted.backends
        if backend.cluster in at and at[backend.cluster].opened == backend.opened
    }


def _frontend(front: Frontend, heir: Frontend | None, places: dict[str, str], waiting: set[str]) -> Frontend:
    """A listener leads as it is wanted to, unless it would have to be another one for that.

    A cluster that is gone is refused by its own ranges all the same.
    """
    if heir is None:
        return front
    front = replace(front, clients=_clients(front.clients, heir.clients))
    wanted = replace(
        front,
        default=places.get(heir.default) if heir.default else None,
        certificates=heir.certificates,
        routes=tuple(Route(one.host, places[one.backend], one.opened) for one in heir.routes if one.backend in places),
        elsewhere=heir.elsewhere,
    )
    reached = {front.default, *(route.backend for route in front.routes)}
    if heir.sole != front.sole or (wanted.opens, wanted.passes) != (front.opens, front.passes) or reached & waiting:
        return replace(front, certificates=_renewed(front, heir))
    return wanted


def _clients(running: Clients | None, wanted: Clients | None) -> Clients | None:
    """Which client certificates are revoked is no matter of a reload; by which CA they are verified is."""
    return replace(running, revoked=wanted.revoked) if running is not None and wanted is not None else running


def _renewed(front: Frontend, heir: Frontend) -> tuple[Shown, ...]:
    """The same certificates, those of them that were renewed anew."""
    pems = {(one.name, one.hosts): one.pem for one in heir.certificates}
    return tuple(replace(one, pem=pems.get((one.name, one.hosts), one.pem)) for one in front.certificates)
