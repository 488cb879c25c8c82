"""`kubegate status` and `kubegate reload`: what a gate that runs says of itself.

What a command needs is loaded when it runs: nobody waits for it who only asks how a command is written.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import BAD_INPUT, FAILURE, Output, columns, errors_reported, line, rows, show, show_json
from kubegate.cli.options import MaybeFile, OutputAs

if TYPE_CHECKING:
    from kubegate.model.gate_status import ClientsStatus, ClusterStatus, GateStatus, Reloaded, ServerStatus
    from kubegate.model.status import Remark

SUMMARY = "Show what really runs, and what needs attention."
EXAMPLES = ("kubegate status", "kubegate status -c kubegate.yaml --output json", "kubegate status --check || echo look")
RELOAD = "Let a running gate look at its file and all else again, now."
RELOAD_EXAMPLES = ("kubegate reload", "kubegate reload -c kubegate.yaml --output json")

_STATES = {"up": "green", "down": "bold red", "draining": "yellow"}
_FEW_DAYS = 14


def command(
    config: MaybeFile = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1, too, if something needs attention.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Show a running gate."""
    from kubegate.model.gate_status import healthy
    from kubegate.runtime import control_client

    with errors_reported(output):
        found = control_client.status(config, os.environ)
    if output is Output.JSON:
        show_json(found.model_dump(mode="json") | {"healthy": healthy(found)})
    else:
        show(_text(found, well=healthy(found)))
    if check and not healthy(found):
        raise typer.Exit(FAILURE)


def reload(config: MaybeFile = None, output: OutputAs = Output.TEXT) -> None:
    """Reload a running gate."""
    from kubegate.runtime import control_client

    with errors_reported(output):
        found = control_client.reload(config, os.environ)
    if output is Output.JSON:
        show_json(found.model_dump(mode="json"))
    else:
        show(_reloaded(found))
    if found.status.refused:
        raise typer.Exit(BAD_INPUT)


def _reloaded(found: "Reloaded") -> Iterator[Text]:
    status = found.status
    if status.refused:
        yield from _refused(status)
        yield line(f"Generation {status.generation} runs on.")
    elif not found.changes and not found.reload:
        yield line("Everything was looked at again; nothing is different. ", (f"Generation {status.generation} runs.", "bold"))
    else:
        yield from (line(f"  - {change}") for change in found.changes)
        how = "HAProxy was reloaded" if found.reload else "no reload was needed"
        ended = (
            f"{found.streams_ended} open requests and streams were ended" if found.streams_ended else "no open stream was ended"
        )
        yield line((f"Generation {status.generation} runs; {how}, and {ended}.", "bold"))
    if status.warnings:
        yield line((f"{len(status.warnings)} warnings: kubegate status shows them.", "yellow"))


def _text(status: "GateStatus", *, well: bool) -> Iterator[Text]:
    head = "runs, and everything is up" if well else "runs, and something needs attention"
    yield line((f"kubegate {status.version} {head}", "bold green" if well else "bold yellow"))
    yield line()
    yield from rows(_facts(status))
    for listener in status.listeners:
        default = f"; {listener.default_cluster} for clients that give no name" if listener.default_cluster else ""
        yield line()
        yield line((f"listener {listener.name}", "bold"), f" at {listener.address}: {', '.join(listener.clusters)}{default}")
        if listener.client_certificates is not None:
            yield _clients(listener.client_certificates)
    for cluster in status.clusters:
        yield from _cluster(cluster)
    yield from _refused(status)
    yield from _warnings(status)


def _facts(status: "GateStatus") -> list[tuple[str, str]]:
    carried = sum(cluster.carried for cluster in status.clusters)
    streams = sum(cluster.streams for cluster in status.clusters)
    old = f"{len(status.old_workers)} of at most {status.max_old_workers}"
    if status.old_workers:
        old += f", carrying {sum(worker.carried or 0 for worker in status.old_workers)} requests and streams"
    return [
        ("file", status.file),
        ("generation", f"{status.generation}, since {status.since:%Y-%m-%d %H:%M:%S %Z}"),
        ("control plane", f"pid {status.pid}, since {status.started:%Y-%m-%d %H:%M:%S %Z}"),
        ("data plane", f"{status.haproxy}, pid {status.haproxy_pid or 'none: it is being started'}"),
        ("carries", f"{carried} requests and streams, {streams} of them streams"),
        ("old workers", old),
    ]


def _clients(found: "ClientsStatus") -> Text:
    style = "bold red" if found.days_left < 0 else "yellow" if found.days_left < _FEW_DAYS else ""
    left = (f"their CA has {found.days_left} days left", style)
    return line(f"  client certificates {found.mode}, ", left, f", {found.revoked} of them revoked")


def _cluster(cluster: "ClusterStatus") -> Iterator[Text]:
    opened = "" if cluster.mode == "terminate" else ", TLS passed through"
    verified = f"verified as {cluster.verified_name}" if cluster.verified_name else "NOT VERIFIED"
    if not cluster.servers:
        verified = "nobody to verify"
    yield line()
    yield line(
        (f"cluster {cluster.name}", "bold"),
        f" ({', '.join(cluster.hosts) or 'default only'}{opened}): {cluster.streams} streams, {verified}, "
        f"checked every {cluster.check_seconds:g} s",
    )
    if cluster.allow:
        yield line(f"  reached from   {', '.join(cluster.allow)}")
    if cluster.certificate is not None:
        kind = "self-signed" if cluster.certificate.self_signed else "given"
        left = cluster.certificate.days_left
        style = "bold red" if left < 0 else "yellow" if left < _FEW_DAYS else ""
        span = f"{left} days left" if left >= 0 else f"EXPIRED {-left} days ago"
        yield line("  certificate    ", (f"{kind}, {span}", style), f", for {', '.join(cluster.certificate.names)}")
    if cluster.servers:
        yield from columns([_server(server) for server in cluster.servers])
    else:
        yield line("  ", ("no API server that can be used", "bold red"))


def _server(server: "ServerStatus") -> tuple[str | tuple[str, str], ...]:
    since = f"for {_span(server.seconds)}" if server.seconds is not None else ""
    return (server.state, _STATES.get(server.state, "")), server.address, since, f"carries {server.carried}", server.why


def _refused(status: "GateStatus") -> Iterator[Text]:
    if not status.refused:
        return
    started = ", and the last good configuration was started" if status.from_last_good else ""
    yield line()
    yield line((f"The file as it is now is refused{started}", "bold red"))
    for problem in status.refused:
        yield line(f"  - {problem.where}: {problem.message}")
        if problem.hint:
            yield line((f"    {problem.hint}", "dim"))


def _warnings(status: "GateStatus") -> Iterator[Text]:
    if status.warnings:
        yield line()
        yield line(("Warnings", "bold yellow"))
    yield from warnings(status.warnings)


def warnings(found: "tuple[Remark, ...]") -> Iterator[Text]:
    """What is not as it should be, and what to do about it."""
    for warning in found:
        yield line(f"  - {warning.message}")
        if warning.hint:
            yield line((f"    {warning.hint}", "dim"))


def _span(seconds: int) -> str:
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
