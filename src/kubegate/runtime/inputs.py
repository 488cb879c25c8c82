"""Everything that a declaration names, looked at: files read again only if they changed, servers only if they have to be."""

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel

from kubegate.model.address import is_address
from kubegate.model.config import ClusterConfig, Config, Mode
from kubegate.model.facts import ClientFacts, ClusterFacts, Facts, FrontCertificate, UpstreamFacts
from kubegate.model.gatefile import Declaration
from kubegate.model.names import printable
from kubegate.model.places import Places
from kubegate.model.plan import Plan
from kubegate.model.planner import upstream_problems, verified_name
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime import client_authorities, gather, upstreams
from kubegate.runtime.descriptors import most_connections
from kubegate.runtime.discovery import Discovery
from kubegate.runtime.findings import Findings
from kubegate.runtime.front import Front, load_declared, names_in_play, own_front
from kubegate.runtime.listening import reachable
from kubegate.runtime.upstreams import Declared, Members
from kubegate.system.files import FileState, state_of

# With more servers than this a start does not wait for each to be looked at: HAProxy's health checks tell soon.
_MOST_LOOKED_AT = 100
_ROUND_SECONDS = 1.0
_RESOLVE_SECONDS = 30.0
_DISCOVER_SECONDS = 5.0
# To ask a cluster for its members takes some 6 ms of a core; many are asked less often, at a hundredth of a core for all.
_DISCOVER_SHARE_SECONDS = 0.6


@dataclass(frozen=True, slots=True)
class Gathered:
    """Facts, what is worth a warning, and the files that were read, in which state of theirs."""

    facts: Facts
    warnings: tuple[Problem, ...]
    files: Mapping[Path, FileState]


@dataclass(slots=True)
class _Known:
    """What is known of one cluster: by which declaration and which state of its files, and what was found out since."""

    cluster: ClusterConfig
    names: tuple[str, ...]
    files: dict[Path, FileState]
    declared: Declared
    front: FrontCertificate | None
    warnings: tuple[Problem, ...]
    members: Members | None = None
    upstream: UpstreamFacts | None = None
    proven: bool = field(default=False)
    discovery: Discovery | None = None
    # When its members are to be looked at again (monotonic), and whether they are at this moment.
    due: float = 0.0
    busy: bool = False


class Inputs:
    """Remembers what it has seen, so that one change among a thousand clusters costs what one cluster costs."""

    def __init__(self, environ: Mapping[str, str] = os.environ, *, lasting: bool = True) -> None:
        self._environ = environ
        self._lasting = lasting
        self._known: dict[str, _Known] = {}
        self._remembered: dict[str, Members] = {}

    def remember(self, plan: Plan) -> None:
        """What ran last: members of clusters that cannot be asked now are taken to be those that they had then."""
        for backend in plan.backends:
            if backend.cluster is not None and backend.servers:
                name = backend.verification.name if backend.verification else ""
                self._remembered[backend.cluster] = Members(backend.servers, name=name)

    def apart(self) -> "Inputs":
        """Another one that knows the same, for a look at what may never run: it keeps nothing, and changes nothing here."""
        other = Inputs(self._environ, lasting=False)
        other._known, other._remembered = dict(self._known), self._remembered
        return other

    async def gather(self, declaration: Declaration, *, fresh: bool = False) -> Gathered:
        """All facts of a declaration; `fresh` looks at every server again. Raises InvalidInput with every problem.

        What was known stays known then, so that a wrong file costs nothing once it is right again.
        """
        config = declaration.config
        findings = Findings([])
        known: dict[str, _Known] = {}
        # Before they are read: what changes while it is read is read again.
        listened = _states(_listeners_files(config))
        for number, cluster in enumerate(config.clusters):
            names = certificate_names(cluster, config)
            old = None if fresh else self._unchanged(cluster, names)
            if old is not None:
                known[cluster.name] = old
                continue
            with findings.also(declaration.places.at("clusters", number), "cluster"):
                known[cluster.name] = self._read(cluster, names, declaration.places, number)
        at_all = fresh or sum(len(one.declared.servers) for one in known.values()) <= _MOST_LOOKED_AT
        limit = upstreams.at_once()
        # Whoever does not answer is looked at again by and by, and keeps no change waiting.
        unknown = [one for one in known.values() if fresh or one.upstream is None or one.members is None]
        results = await asyncio.gather(*(self._look(one, limit, at_all=at_all) for one in unknown))
        for problems in results:
            findings.problems += problems
        clients, cautions = _clients(declaration, findings)
        findings.raise_if_any()
        self._known = known
        facts = {name: ClusterFacts(one.upstream, one.front) for name, one in known.items() if one.upstream is not None}
        warnings = (*cautions, *(warning for one in known.values() for warning in _warnings(one)))
        files = {path: state for one in known.values() for path, state in one.files.items()} | listened
        servers = 2 * sum(len(one.upstream.servers) for one in facts.values())
        return Gathered(Facts(facts, most_connections(servers), clients), warnings, files)

    async def keep_up(self, changed: Callable[[], None]) -> None:
        """Follow names and members until cancelled, each cluster for itself; `changed` is called when anything is another."""
        limit = upstreams.at_once()
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(_ROUND_SECONDS)
                for one in self._due():
                    one.busy = True
                    group.create_task(self._again(one, limit, changed))

    def _due(self) -> list[_Known]:
        """The clusters whose members are to be looked at again, and from now on later."""
        now = time.monotonic()
        asked = sum(one.discovery is not None for one in self._known.values())
        found = []
        for one in self._known.values():
            if one.busy or one.due > now:
                continue
            seconds = _interval(one, asked)
            one.due = now + (seconds or _RESOLVE_SECONDS)
            if seconds:
                found.append(one)
        return found

    def _unchanged(self, cluster: ClusterConfig, names: tuple[str, ...]) -> _Known | None:
        old = self._known.get(cluster.name)
        if old is None or old.cluster != cluster or old.names != names or old.files != _states(old.files):
            return None
        return old

    def _read(self, cluster: ClusterConfig, names: tuple[str, ...], places: Places, number: int) -> _Known:
        old = self._known.get(cluster.name)
        # Before they are read: what changes while it is read is read again.
        states = _states(_declared_files(cluster))
        at = functools.partial(places.at, "clusters", number)
        findings = Findings([])
        declared: Declared | None = None
        front: FrontCertificate | None = None
        warnings: list[Problem] = []
        with findings.within(at("upstream"), "upstream", _named(cluster.upstream, at, "upstream")):
            declared = upstreams.read(cluster, functools.partial(at, "upstream"), self._environ)
        with findings.within(at("certificate"), "front", _named(cluster.certificate, at, "certificate")):
            front, warnings = self._front(cluster, names)
        findings.raise_if_any()
        assert declared is not None
        named = (*declared.context.files, declared.context.ca_file) if declared.context is not None else ()
        states |= _states(path for path in named if path is not None and path not in states)
        known = _Known(cluster, names, states, declared, front, tuple(warnings))
        if old is not None and old.declared == declared and old.cluster.upstream == cluster.upstream:
            known.members, known.upstream, known.proven = old.members, old.upstream, old.proven
            known.discovery = old.discovery
        elif cluster.upstream.discover and declared.context is not None:
            known.discovery = Discovery(declared.context, declared.ca_pem, self._environ)
            known.members = self._remembered.get(cluster.name)
        return known

    def _front(self, cluster: ClusterConfig, names: Sequence[str]) -> tuple[FrontCertificate | None, list[Problem]]:
        if cluster.mode is Mode.PASSTHROUGH:
            return None, []
        if cluster.certificate is not None:
            return load_declared(cluster, cluster.hosts)
        own: Front = own_front(names or [f"{cluster.name}.invalid"], self._environ, lasting=self._lasting)
        hint = f"give clients {own.file}, or show a certificate of a CA that they trust (certificate)"
        return own.certificate, [replace(one, where=f"cluster {cluster.name}", hint=hint) for one in own.warnings]

    async def _look(self, one: _Known, limit: asyncio.Semaphore, *, at_all: bool) -> list[Problem]:
        """Look at a cluster; returns why it cannot be what it was declared to be."""
        before = one.upstream
        try:
            one.members = await upstreams.members(one.declared, one.discovery, one.members)
        except InvalidInput as error:
            return list(error.problems)
        was_proven = one.proven
        await _look_at(one, limit, at_all=at_all)
        assert one.upstream is not None
        if before is None and not was_proven and self._was_proven(one) and _mistrusted(one.upstream):
            # What worked until now would not work any more: a mistake in the declaration rather than a dead server.
            return upstream_problems(one.upstream)
        return []

    def _was_proven(self, one: _Known) -> bool:
        old = self._known.get(one.cluster.name)
        return old is not None and old.proven

    async def _again(self, one: _Known, limit: asyncio.Semaphore, changed: Callable[[], None]) -> None:
        before, was = one.upstream, one.members
        try:
            one.members = await upstreams.members(one.declared, one.discovery, one.members)
            if was is None or one.members.addresses != was.addresses or _troubled(one):
                await _look_at(one, limit, at_all=True)
        except InvalidInput:
            return
        finally:
            one.busy = False
        if one.upstream != before or one.members.trouble != (was.trouble if was else None):
            changed()


async def _look_at(one: _Known, limit: asyncio.Semaphore, *, at_all: bool) -> None:
    """Look at the members of a cluster. Of one that does not answer, the certificate that it has shown before still counts."""
    assert one.members is not None
    known = {(server.address, server.port): server.certificate for server in one.upstream.servers} if one.upstream else {}
    found = await upstreams.look(one.cluster, one.declared, one.members, at_all=at_all, limit=limit)
    servers = tuple(
        server
        if server.certificate or server.mistrusted
        else replace(server, certificate=known.get((server.address, server.port)))
        for server in found.servers
    )
    one.upstream = replace(found, servers=servers)
    one.members = replace(one.members, name=verified_name(one.upstream) or one.members.name)
    one.proven = not upstream_problems(one.upstream)


def _interval(one: _Known, asked: int) -> float:
    """Seconds from a look at a cluster to the next one, 0 if there is none; `asked` is how many are asked for members."""
    if one.discovery is not None:
        return max(_DISCOVER_SECONDS, asked * _DISCOVER_SHARE_SECONDS)
    if one.upstream is None or (one.declared.tls and one.declared.ca_pem and verified_name(one.upstream) is None):
        # It has no server until one of them proves itself.
        return _DISCOVER_SECONDS
    names = any(not is_address(server.host) for server in one.declared.servers)
    return _RESOLVE_SECONDS if names or _troubled(one) else 0.0


def _troubled(one: _Known) -> bool:
    return one.upstream is not None and any(server.trouble for server in one.upstream.servers)


def _named(declared: BaseModel | None, at: Callable[..., str], key: str) -> dict[str, str]:
    """The places in a declaration at which files are named, by the names."""
    values = {} if declared is None else {name: getattr(declared, name) for name in type(declared).model_fields}
    return {printable(str(value)): at(key, name) for name, value in values.items() if isinstance(value, Path)}


def _mistrusted(upstream: UpstreamFacts) -> bool:
    return bool(upstream_problems(upstream)) and any(server.mistrusted for server in upstream.servers)


def certificate_names(cluster: ClusterConfig, config: Config) -> tuple[str, ...]:
    """The names that a certificate of the gate's own carries: the cluster's, and where it is the default, the addresses."""
    names = list(cluster.hosts)
    for listener in config.listeners:
        alone = len(config.clusters) == 1 or listener.clusters == (cluster.name,)
        if alone or listener.default_cluster == cluster.name:
            names = names_in_play(
                cluster.model_copy(update={"hosts": tuple(names)}), listener.address, reachable(listener.address)
            )
    return tuple(dict.fromkeys(names))


def _clients(declaration: Declaration, findings: Findings) -> tuple[dict[str, ClientFacts], list[Problem]]:
    """By what the clients of listeners are verified, and what is worth a warning; problems are noted."""
    found, warnings = dict[str, ClientFacts](), list[Problem]()
    for number, listener in enumerate(declaration.config.listeners):
        if listener.client_certificates is not None:
            at = functools.partial(declaration.places.at, "listeners", number, "clientCertificates")
            with findings.also(at(), "clients"):
                found[listener.name], cautions = client_authorities.read(listener.client_certificates, at)
                warnings += cautions
    return found, warnings


def declared_files(config: Config) -> dict[Path, FileState]:
    """The files that a declaration names, in their present state."""
    return _states([*(path for cluster in config.clusters for path in _declared_files(cluster)), *_listeners_files(config)])


def _listeners_files(config: Config) -> list[Path]:
    declared = [listener.client_certificates for listener in config.listeners]
    return [path for one in declared if one is not None for path in client_authorities.files(one)]


def _declared_files(cluster: ClusterConfig) -> list[Path]:
    """The files that the declaration itself names."""
    upstream, given = cluster.upstream, cluster.certificate
    files: list[Path | None] = [upstream.ca, upstream.kubeconfig]
    if given is not None and cluster.mode is Mode.TERMINATE:
        files += [given.cert, given.key, given.chain, given.ca]
    return [path for path in files if path is not None]


def _states(files: Iterable[Path]) -> dict[Path, FileState]:
    return {path: state_of(path) for path in files}


def _warnings(one: _Known) -> list[Problem]:
    where = f"cluster {one.cluster.name}"
    warnings = list(one.warnings)
    if one.members is not None and one.members.trouble is not None:
        trouble = one.members.trouble
        warnings.append(Problem(where, trouble.code, f"{trouble.message}; the last known addresses are kept", trouble.hint))
    if one.upstream is not None:
        warnings += upstream_problems(one.upstream) or gather.dead_servers(one.upstream)
    if one.declared.context is not None:
        warnings += gather.mode_warnings(one.cluster, one.declared.context, gather.KEYS, has_account=False)
    elif one.cluster.upstream.insecure:
        message = "nobody verifies its API servers (verification: none): whoever answers there receives the callers' tokens"
        warnings.append(Problem(where, "insecure-upstream", message, "give the CA that signs their certificates"))
    return warnings
