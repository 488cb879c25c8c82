"""The control plane's metrics in Prometheus' text format (exposition format 0.0.4); HAProxy's own exporter tells of requests."""

from collections.abc import Iterator

from kubegate.model.gate_status import GateStatus

_Labels = dict[str, str]


def text(status: GateStatus) -> str:
    """All metrics, each with its help."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: GateStatus) -> Iterator[str]:
    yield from _gauge("generation", "Number of the generation that runs.", [({}, status.generation)])
    yield from _gauge(
        "config_refused", "Problems for which the configuration as it is now was refused.", [({}, len(status.refused))]
    )
    yield from _gauge("warnings", "Warnings in the status.", [({}, len(status.warnings))])
    yield from _gauge("old_workers", "HAProxy workers of earlier configurations.", [({}, len(status.old_workers))])
    yield from _counter("reloads_total", "Reloads of HAProxy since this control plane started.", status.reloads)
    yield from _counter("live_changes_total", "Changes that needed no reload.", status.live_changes)
    yield from _counter("streams_ended_total", "Streams that were ended because less is allowed now.", status.streams_ended)
    clusters = status.clusters
    yield from _gauge(
        "cluster_info",
        "By which name HAProxy's metrics know a cluster.",
        [({"cluster": one.name, "backend": one.backend}, 1) for one in clusters],
    )
    yield from _gauge("streams", "Open streams.", [({"cluster": one.name}, one.streams) for one in clusters])
    yield from _gauge(
        "server_up",
        "Whether an API server is up.",
        [({"cluster": one.name, "server": at.address}, int(at.state == "up")) for one in clusters for at in one.servers],
    )
    yield from _gauge(
        "certificate_expires_timestamp_seconds",
        "When the certificate that is shown for a cluster expires.",
        [({"cluster": one.name}, int(one.certificate.not_after.timestamp())) for one in clusters if one.certificate],
    )
    asking = [(one.name, one.client_certificates) for one in status.listeners if one.client_certificates]
    if asking:
        yield from _gauge(
            "client_ca_expires_timestamp_seconds",
            "When the last CA of a listener's client certificates expires.",
            [({"listener": name}, int(found.ca_not_after.timestamp())) for name, found in asking],
        )
        yield from _gauge(
            "client_certificates_revoked",
            "Client certificates that are revoked at a listener.",
            [({"listener": name}, found.revoked) for name, found in asking],
        )


def _gauge(name: str, meaning: str, values: list[tuple[_Labels, int]]) -> Iterator[str]:
    yield from _family(name, "gauge", meaning, values)


def _counter(name: str, meaning: str, value: int) -> Iterator[str]:
    yield from _family(name, "counter", meaning, [({}, value)])


def _family(name: str, kind: str, meaning: str, values: list[tuple[_Labels, int]]) -> Iterator[str]:
    yield f"# HELP kubegate_{name} {meaning}"
    yield f"# TYPE kubegate_{name} {kind}"
    for labels, value in values:
        # Names of clusters and addresses of servers have no character that would have to be escaped.
        shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
        yield f"kubegate_{name}{{{shown}}} {value}" if shown else f"kubegate_{name} {value}"
