"""Status of a gate that was declared by a file: what really runs, as facts for people and scripts."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from kubegate.model.config import Demand, Mode
from kubegate.model.status import Remark

# The code of the warning that HAProxy does not answer.
SILENT = "haproxy.silent"


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(_Fact):
    """A problem for which a configuration was refused."""

    where: str
    code: str
    message: str
    hint: str = ""


class ServerStatus(_Fact):
    """One API server: `state` is `up`, `down`, `draining` or `unknown`; `why` is the last health check in words.

    `readiness_known` is False where it answers, but not about its readiness. `carried` counts requests and streams.
    """

    address: str
    state: str
    why: str
    readiness_known: bool
    seconds: int | None
    carried: int


class CertificateStatus(_Fact):
    """The certificate that the gate shows for a cluster; `days_left` is negative once it has expired."""

    names: tuple[str, ...]
    sha256: str
    not_after: datetime
    days_left: int
    self_signed: bool


class ClusterStatus(_Fact):
    """One cluster. `backend` is its name in HAProxy's own statistics. `streams` are those open now, of all workers."""

    name: str
    mode: Mode
    hosts: tuple[str, ...]
    backend: str
    verified_name: str | None
    allow: tuple[str, ...]
    check_seconds: float
    servers: tuple[ServerStatus, ...]
    certificate: CertificateStatus | None
    carried: int
    streams: int


class ClientsStatus(_Fact):
    """Client certificates of a listener: `mode` as declared, how many are revoked, and when the last of its CAs ends."""

    mode: Demand
    revoked: int
    ca_not_after: datetime
    days_left: int


class ListenerStatus(_Fact):
    """One listener and the clusters behind it."""

    name: str
    address: str
    clusters: tuple[str, ...]
    default_cluster: str | None
    client_certificates: ClientsStatus | None = None


class WorkerStatus(_Fact):
    """A HAProxy worker of an earlier configuration that lives on with what it carries; None where it does not answer."""

    pid: int
    carried: int | None


class GateStatus(_Fact):
    """A gate. `refused` says why the file as it is now does not run; it is empty if it does.

    `from_last_good` says that it was started from the last good generation because the file could not be used.
    """

    file: str
    version: str
    pid: int
    started: datetime
    haproxy: str
    haproxy_pid: int | None
    generation: int
    since: datetime
    from_last_good: bool
    refused: tuple[Refusal, ...]
    warnings: tuple[Remark, ...]
    listeners: tuple[ListenerStatus, ...]
    clusters: tuple[ClusterStatus, ...]
    old_workers: tuple[WorkerStatus, ...]
    max_old_workers: int
    leaving_servers: int
    reloads: int
    live_changes: int
    streams_ended: int


class Reloaded(_Fact):
    """What came of a reload that was asked for: sentences that say what is different, how it was done, and what runs now.

    If the file is refused, the status says why, and nothing is different.
    """

    changes: tuple[str, ...]
    reload: bool
    streams_ended: int
    status: GateStatus


class Rehearsal(_Fact):
    """What a file would change in a gate that runs, in sentences; whether HAProxy would be reloaded, and which streams end.

    `streams_at_bound` end, too, if no old worker ends in time. `warnings` are those that are new. `files` are those that would
    run, certificates and keys left out unless they were asked for.
    """

    changes: tuple[str, ...]
    reload: bool
    streams_ended: int
    streams_at_bound: int
    warnings: tuple[Remark, ...]
    files: dict[str, str]


def healthy(status: GateStatus) -> bool:
    """Whether everything that was declared runs, can be reached, and shows certificates that have not expired."""
    return (
        not status.refused
        and not any(one.code == SILENT for one in status.warnings)
        and all(
            any(one.state == "up" for one in cluster.servers)
            and (cluster.certificate is None or cluster.certificate.days_left >= 0)
            for cluster in status.clusters
        )
    )
