"""From a gate that runs to its status: what HAProxy says, beside what was declared."""

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kubegate import __version__
from kubegate.model.config import ClusterConfig, Mode
from kubegate.model.gate_status import (
    CertificateStatus,
    ClusterStatus,
    GateStatus,
    ListenerStatus,
    Refusal,
    WorkerStatus,
)
from kubegate.model.plan import Backend, Plan
from kubegate.model.status import Remark
from kubegate.pki.certificate import read_certificate
from kubegate.pki.pem import blocks
from kubegate.render.haproxy.backend import names, stream_name
from kubegate.runtime.statistics import Statistics
from kubegate.runtime.workers import Session

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate


async def report(gate: "Gate") -> GateStatus:
    """The status at this moment. Where HAProxy does not answer, its part is empty."""
    plane = gate.data_plane
    plan = plane.plan
    statistics = Statistics({})
    old: list[WorkerStatus] = []
    carried: list[Session] = []
    with contextlib.suppress(OSError, TimeoutError):
        statistics = Statistics.read(await plane.tell("show stat -1 6 -1"))
        for worker in await plane.workers.old():
            sessions = await plane.workers.sessions(worker)
            old.append(WorkerStatus(pid=worker.pid, carried=len(sessions)))
            carried += sessions
    return GateStatus(
        file=str(gate.file.absolute()),
        version=__version__,
        pid=os.getpid(),
        started=gate.started,
        haproxy=str(gate.binary),
        haproxy_pid=gate.haproxy.pid,
        generation=plane.generation,
        since=gate.since,
        from_last_good=gate.from_last_good,
        refused=tuple(Refusal(where=one.where, code=one.code, message=one.message, hint=one.hint) for one in gate.refused),
        warnings=tuple(
            Remark(code=one.code, message=f"{one.where}: {one.message}" if one.where else one.message, hint=one.hint)
            for one in gate.warnings
        ),
        listeners=_listeners(plan),
        clusters=tuple(_cluster(gate, backend, statistics, carried) for backend in plan.backends if backend.cluster)
        if plan
        else (),
        old_workers=tuple(old),
        max_old_workers=plane.bounds.old_workers,
        leaving_servers=len(plane.retirement.leaving),
        reloads=gate.reloads,
        live_changes=gate.live_changes,
        streams_ended=gate.streams_ended,
    )


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
        )
        for front in plan.frontends
    )


def _cluster(gate: "Gate", backend: Backend, statistics: Statistics, old: list[Session]) -> ClusterStatus:
    sections = names(backend)
    declared: ClusterConfig | None = gate.config.cluster(backend.cluster or "") if gate.config else None
    plan = gate.data_plane.plan
    routes = [route for front in plan.frontends for route in front.routes if route.backend == backend.name] if plan else []
    streams = statistics.carried([stream_name(backend.name)]) if backend.opened else statistics.carried([backend.name])
    return ClusterStatus(
        name=backend.cluster or backend.name,
        mode=Mode.TERMINATE if backend.opened else Mode.PASSTHROUGH,
        hosts=tuple(dict.fromkeys(route.host for route in routes)),
        backend=backend.name,
        verified_name=backend.verification.name if backend.verification else None,
        allow=backend.allow or (),
        check_seconds=backend.health.interval / 1000,
        servers=tuple(statistics.servers(backend)),
        certificate=_certificate(plan, backend) if declared is None or declared.mode is Mode.TERMINATE else None,
        carried=statistics.carried(sections) + sum(1 for one in old if one.backend in sections),
        streams=streams + sum(1 for one in old if one.backend in sections),
    )


def _certificate(plan: Plan | None, backend: Backend) -> CertificateStatus | None:
    for front in plan.frontends if plan else ():
        for shown in front.certificates:
            if shown.name == backend.cluster:
                return _shown(shown.pem)
    return None


def _shown(pem: bytes) -> CertificateStatus | None:
    for block in blocks(pem):
        if block.label == "CERTIFICATE":
            leaf = read_certificate(x509.load_pem_x509_certificate(block.text))
            left = leaf.not_after - datetime.now(UTC)
            return CertificateStatus(
                names=leaf.names,
                sha256=leaf.parsed.fingerprint(hashes.SHA256()).hex(":").upper(),
                not_after=leaf.not_after,
                days_left=left.days,
                self_signed=leaf.self_signed,
            )
    return None
