"""From a gate that runs to its status: what HAProxy says, beside what was declared."""

import asyncio
import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from kubegate import __version__
from kubegate.model.config import Demand, Mode
from kubegate.model.gate_status import (
    CertificateStatus,
    ClientsStatus,
    ClusterStatus,
    GateStatus,
    ListenerStatus,
    Refusal,
    WorkerStatus,
)
from kubegate.model.plan import Backend, Clients, Plan
from kubegate.model.problem import Problem
from kubegate.model.status import Remark
from kubegate.pki.certificate import read_certificate
from kubegate.pki.pem import blocks
from kubegate.render.haproxy.backend import names, stream_name
from kubegate.runtime.dataplane import DataPlane
from kubegate.runtime.started import program_of
from kubegate.runtime.statistics import Statistics
from kubegate.runtime.workers import Session, Worker

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate

_ANSWER_SECONDS = 5.0


async def report(gate: "Gate") -> GateStatus:
    """The status at this moment. Where HAProxy does not answer, its part is empty."""
    plane = gate.data_plane
    plan = plane.plan
    statistics, sessions = await asyncio.gather(_statistics(plane), _sessions(plane))
    silent = [who for who, answer in (("worker", statistics), ("master process", sessions)) if answer is None]
    statistics, sessions = statistics or Statistics({}), sessions or {}
    old = [WorkerStatus(pid=pid, carried=None if found is None else len(found)) for pid, found in sessions.items()]
    carried = [session for found in sessions.values() for session in found or ()]
    return GateStatus(
        file=str(gate.file.absolute()),
        version=__version__,
        pid=os.getpid(),
        started=gate.started,
        haproxy=str(program_of(gate.haproxy.pid, gate.binary)),
        haproxy_pid=gate.haproxy.pid,
        generation=plane.generation,
        since=gate.since,
        from_last_good=gate.from_last_good,
        refused=tuple(Refusal(where=one.where, code=one.code, message=one.message, hint=one.hint) for one in gate.refused),
        warnings=tuple(
            Remark(code=one.code, message=f"{one.where}: {one.message}" if one.where else one.message, hint=one.hint)
            for one in (*map(_silent, silent), *gate.current_warnings())
        ),
        listeners=_listeners(plan),
        clusters=_clusters(plan, statistics, carried),
        old_workers=tuple(old),
        max_old_workers=plane.old_workers.bounds.old_workers,
        leaving_servers=len(plane.retirement.leaving),
        reloads=gate.reloads,
        live_changes=gate.live_changes,
        streams_ended=gate.streams_ended,
    )


def _silent(who: str) -> Problem:
    hint = "see whether it is stopped, or the machine overloaded; if it stays so, end HAProxy's master, and it is started anew"
    return Problem("", "haproxy.silent", f"HAProxy's {who} does not answer", hint)


async def _statistics(plane: DataPlane) -> Statistics | None:
    with contextlib.suppress(OSError, TimeoutError):
        return Statistics.read(await plane.tell("show stat -1 6 -1"))
    return None


async def _sessions(plane: DataPlane) -> dict[int, list[Session] | None] | None:
    """What each old worker carries, by pid; None where it does not answer in time, and for all where the master does not."""

    async def carried(worker: Worker) -> list[Session] | None:
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(plane.workers.sessions(worker), _ANSWER_SECONDS)
        return None

    try:
        old = await plane.workers.old()
    except (OSError, TimeoutError):
        return None
    found = await asyncio.gather(*map(carried, old))
    # One that has ended in the meantime is none any more.
    return {one.pid: sessions for one, sessions in zip(old, found, strict=True) if sessions is not None or one.alive()}


def _clusters(plan: Plan | None, statistics: Statistics, old: Iterable[Session]) -> tuple[ClusterStatus, ...]:
    if plan is None:
        return ()
    view = _View.of(plan, statistics, old)
    return tuple(view.cluster(backend) for backend in plan.backends if backend.cluster)


def _listeners(plan: Plan | None) -> tuple[ListenerStatus, ...]:
    if plan is None:
        return ()
    clusters = {backend.name: backend.cluster or backend.name for backend in plan.backends}
    return tuple(
        ListenerStatus(
            name=front.name,
            address=str(front.listen),
            clusters=tuple(dict.fromkeys(clusters[name] for name in (*(r.backend for r in front.routes), front.default) if name)),
            default_cluster=clusters[front.default] if front.default else None,
            client_certificates=_clients(front.clients) if front.clients is not None else None,
        )
        for front in plan.frontends
    )


def _clients(found: Clients) -> ClientsStatus:
    end = _last_end(found.ca_pem)
    return ClientsStatus(
        mode=Demand.REQUIRED if found.required else Demand.OPTIONAL,
        revoked=len(found.revoked),
        ca_not_after=end,
        days_left=(end - datetime.now(UTC)).days,
    )


@functools.lru_cache(maxsize=64)
def _last_end(bundle: bytes) -> datetime:
    """When the last certificate of a bundle, which has been read before, ends."""
    return max(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(bundle))


@dataclass(frozen=True, slots=True)
class _View:
    """What is told of each cluster, found once for all: hosts by backend, certificates (PEM) by cluster.

    `old` are the requests and streams that workers of earlier configurations carry, by section.
    """

    statistics: Statistics
    hosts: Mapping[str, Mapping[str, None]]
    certificates: Mapping[str, bytes]
    old: Mapping[str, int]

    @classmethod
    def of(cls, plan: Plan, statistics: Statistics, old: Iterable[Session]) -> "_View":
        hosts: dict[str, dict[str, None]] = {}
        certificates: dict[str, bytes] = {}
        for front in plan.frontends:
            for route in front.routes:
                hosts.setdefault(route.backend, {})[route.host] = None
            for shown in front.certificates:
                certificates.setdefault(shown.name, shown.pem)
        return cls(statistics, hosts, certificates, Counter(session.backend for session in old))

    def cluster(self, backend: Backend) -> ClusterStatus:
        """The status of the cluster that has a backend."""
        sections = names(backend)
        name = backend.cluster or backend.name
        pem = self.certificates.get(name) if backend.opened else None
        streams = self.statistics.carried([stream_name(backend.name) if backend.opened else backend.name])
        old = sum(self.old.get(section, 0) for section in sections)
        return ClusterStatus(
            name=name,
            mode=Mode.TERMINATE if backend.opened else Mode.PASSTHROUGH,
            hosts=tuple(self.hosts.get(backend.name, ())),
            backend=backend.name,
            verified_name=backend.verification.name if backend.verification else None,
            allow=backend.allow or (),
            check_seconds=backend.health.interval / 1000,
            servers=tuple(self.statistics.servers(backend)),
            certificate=_certificate(_leaf(pem)) if pem is not None else None,
            carried=self.statistics.carried(sections) + old,
            streams=streams + old,
        )


class _Leaf(NamedTuple):
    """What is told of a certificate, whatever day it is."""

    names: tuple[str, ...]
    sha256: str
    not_after: datetime
    self_signed: bool


@functools.lru_cache(maxsize=4096)
def _leaf(pem: bytes) -> _Leaf | None:
    # Status and metrics are asked for all the time, and certificates change rarely.
    for block in blocks(pem):
        if block.label == "CERTIFICATE":
            read = read_certificate(x509.load_pem_x509_certificate(block.text))
            return _Leaf(read.names, read.sha256, read.not_after, read.self_signed)
    return None


def _certificate(leaf: _Leaf | None) -> CertificateStatus | None:
    if leaf is None:
        return None
    days = (leaf.not_after - datetime.now(UTC)).days
    return CertificateStatus(
        names=leaf.names, sha256=leaf.sha256, not_after=leaf.not_after, days_left=days, self_signed=leaf.self_signed
    )
