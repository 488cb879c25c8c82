"""What is different between two plans, in sentences for people."""

from collections.abc import Iterable, Iterator

from kubegate.model.plan import Backend, Clients, Frontend, Plan


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    """A sentence for each difference, clusters first."""
    return (*_clusters(before, after), *_listeners(before, after), *_process(before, after))


def _clusters(before: Plan, after: Plan) -> Iterator[str]:
    old = {one.cluster: one for one in before.backends if one.cluster}
    new = {one.cluster: one for one in after.backends if one.cluster}
    for name, backend in new.items():
        if name not in old:
            yield f"cluster {name} is new, with {_servers(backend)}"
        else:
            yield from _cluster(f"cluster {name}", old[name], backend)
    for name in old:
        if name not in new:
            yield f"cluster {name} is gone"


def _cluster(name: str, old: Backend, new: Backend) -> Iterator[str]:
    yield from (f"{name}: API server {server} is new" for server in new.servers if server not in old.servers)
    yield from (f"{name}: API server {server} is gone" for server in old.servers if server not in new.servers)
    yield from _verification(name, old, new)
    yield from _bounds(name, old, new)
    if old.opened != new.opened:
        yield f"{name}: its TLS is {'opened' if new.opened else 'passed through'} now"
    for what, changed in (
        ("balance", old.balance != new.balance),
        ("health checks", old.health != new.health),
        ("timeouts", old.timeouts != new.timeouts),
    ):
        if changed:
            yield f"{name}: other {what}"


def _verification(name: str, old: Backend, new: Backend) -> Iterator[str]:
    if old.verification != new.verification and old.verification and new.verification:
        if old.verification.ca_pem != new.verification.ca_pem:
            yield f"{name}: its CA is another one"
        if old.verification.name != new.verification.name:
            yield f"{name}: its API servers are verified as {new.verification.name} instead of {old.verification.name}"
    elif (old.verification is None) != (new.verification is None) and old.servers and new.servers:
        yield f"{name}: its API servers are {'verified now' if new.verification else 'NOT VERIFIED any more'}"


def _bounds(name: str, old: Backend, new: Backend) -> Iterator[str]:
    if old.allow != new.allow:
        yield f"{name}: reached from {', '.join(new.allow) if new.allow is not None else 'everywhere'}"
    for what, was, now in (
        ("requests and streams at one time", old.max_carried, new.max_carried),
        ("requests of one address in a second", old.requests_per_second, new.requests_per_second),
    ):
        if was != now:
            yield f"{name}: {now or 'any number of'} {what} instead of {was or 'any number'}"


def _servers(backend: Backend) -> str:
    return ", ".join(str(server) for server in backend.servers) or "no API server that can be used"


def _listeners(before: Plan, after: Plan) -> Iterator[str]:
    old = {front.name: front for front in before.frontends}
    new = {front.name: front for front in after.frontends}
    for name, front in new.items():
        if name not in old:
            yield f"listener {name} is new, at {front.listen}"
        else:
            yield from _listener(f"listener {name}", old[name], front)
    for name in old:
        if name not in new:
            yield f"listener {name} is gone"


def _listener(name: str, old: Frontend, new: Frontend) -> Iterator[str]:
    if old.listen != new.listen:
        yield f"{name}: at {new.listen} instead of {old.listen}"
    if old.default != new.default:
        yield f"{name}: another default cluster"
    known = {route.host for route in old.routes}
    named = {route.host for route in new.routes}
    for host in sorted(named - known):
        yield f"{name}: the name {host} is new"
    for host in sorted(known - named):
        yield f"{name}: the name {host} is gone"
    shown = {(one.name, bool(one.hosts)): one.pem for one in old.certificates}
    for one in new.certificates:
        if one.hosts and shown.get((one.name, True), one.pem) != one.pem:
            yield f"{name}: another certificate for {', '.join(one.hosts)}"
    if old.proxy_from != new.proxy_from:
        yield f"{name}: PROXY protocol from {', '.join(new.proxy_from) if new.proxy_from else 'nobody'}"
    yield from _clients(name, old.clients, new.clients)


def _clients(name: str, old: Clients | None, new: Clients | None) -> Iterator[str]:
    if new is None or old is None:
        if new != old:
            asked = "are not asked for any more" if new is None else "are required" if new.required else "are verified if shown"
            yield f"{name}: client certificates {asked}"
        return
    if old.required != new.required:
        yield f"{name}: client certificates are {'required' if new.required else 'NOT REQUIRED any more'}"
    if old.ca_pem != new.ca_pem:
        yield f"{name}: another CA of client certificates"
    before, now = _firsts(old.revoked), _firsts(new.revoked)
    for count, what in ((len(now - before), "revoked"), (len(before - now), "NOT REVOKED any more")):
        if count:
            yield f"{name}: {count} client certificate{' is' if count == 1 else 's are'} {what}"


def _firsts(revoked: Iterable[str]) -> set[str]:
    """The certificates, whatever other forms of them are known."""
    return {one.partition("+")[0] for one in revoked}


def _process(before: Plan, after: Plan) -> Iterator[str]:
    if before.process != after.process:
        yield "settings of the HAProxy process"
