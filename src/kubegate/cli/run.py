"""`kubegate run`, and what asks a gate that runs: `status`, `reload`."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, rows, say, show, show_json
from kubegate.model.gate_status import ClusterStatus, GateStatus, ServerStatus, healthy
from kubegate.runtime import control_client
from kubegate.runtime.signals import Stop

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate

DEFAULT_FILE = Path("kubegate.yaml")
ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The declared file.", metavar="FILE")]
MaybeFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The file of the gate that is meant. Default: the only one.", metavar="FILE")
]
OutputAs = Annotated[Output, typer.Option(help="How facts are printed.")]

RUN = "Run the gate that a file declares."
RUN_EXAMPLES = ("kubegate run -c kubegate.yaml", "systemctl start kubegate    # see docs/run.md")
STATUS = "Show what really runs, and what needs attention."
STATUS_EXAMPLES = ("kubegate status", "kubegate status -c kubegate.yaml --output json")
RELOAD = "Let a running gate look at its file and all files again."
RELOAD_EXAMPLES = ("kubegate reload", "kubegate reload -c kubegate.yaml")

_STATES = {"up": "green", "down": "bold red", "draining": "yellow"}


def run(config: ConfigFile = DEFAULT_FILE, output: OutputAs = Output.TEXT) -> None:
    """Run a declared gate."""
    with errors_reported(output):
        asyncio.run(_run(config))


async def _run(file: Path) -> None:
    # Its services take a while to load, which other commands need not wait for.
    from kubegate.runtime.run import Gate
    from kubegate.runtime.upkeep import guarded

    hung_up = asyncio.Event()
    async with Stop(hangup=hung_up.set) as stop:
        gate = await stop.unless_asked(Gate.open(file, os.environ, say))
        if gate is None:
            say("stopped before the gate was open")
            return
        async with gate:
            say(f"running; {gate.summary()}")
            hangups = asyncio.create_task(guarded("reloading", lambda: _reload_at(hung_up, gate), say))
            try:
                drained = await gate.serve(stop)
            finally:
                hangups.cancel()
        if stop.leave.is_set():
            say("ended; HAProxy goes on, and the next `kubegate run` takes it over")
        else:
            say("stopped" if drained else "stopped; what was still open was ended")


async def _reload_at(hung_up: asyncio.Event, gate: "Gate") -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await gate.reload()


def status(config: MaybeFile = None, output: OutputAs = Output.TEXT) -> None:
    """Show a running gate."""
    with errors_reported(output):
        found = control_client.status(config, os.environ)
    _show(found, output)


def reload(config: MaybeFile = None, output: OutputAs = Output.TEXT) -> None:
    """Reload a running gate."""
    with errors_reported(output):
        found = control_client.reload(config, os.environ)
    _show(found, output)
    if found.refused:
        raise typer.Exit(2)


def _show(status: GateStatus, output: Output) -> None:
    if output is Output.JSON:
        show_json(status.model_dump(mode="json"))
    else:
        show(_text(status))


def _text(status: GateStatus) -> Iterator[Text]:
    carried = sum(cluster.carried for cluster in status.clusters)
    head = "runs and everything is up" if healthy(status) else "runs, and something needs attention"
    yield line((f"kubegate {status.version} {head}", "bold green" if healthy(status) else "bold yellow"))
    yield line()
    yield from rows(
        [
            ("file", status.file),
            ("generation", f"{status.generation}, since {status.since:%Y-%m-%d %H:%M:%S %Z}"),
            ("data plane", f"{status.haproxy}, pid {status.haproxy_pid or 'none: it is being started'}"),
            ("carried", f"{carried} requests and streams"),
            ("old workers", f"{len(status.old_workers)} of at most {status.max_old_workers}{_carried_by_old(status)}"),
        ]
    )
    for listener in status.listeners:
        default = f", {listener.default_cluster} for clients without SNI" if listener.default_cluster else ""
        yield line()
        yield line((f"listener {listener.name}", "bold"), f" at {listener.address}: {', '.join(listener.clusters)}{default}")
    for cluster in status.clusters:
        yield from _cluster(cluster)
    if status.refused:
        yield line()
        started = ", and the last good configuration was started" if status.from_last_good else ""
        yield line((f"The file as it is now is refused{started}", "bold red"))
        for problem in status.refused:
            yield line(f"  - {problem.where}: {problem.message}")
            if problem.hint:
                yield line((f"    {problem.hint}", "dim"))
    if status.warnings:
        yield line()
        yield line(("Warnings", "bold yellow"))
        for warning in status.warnings:
            yield line(f"  - {warning.message}")
            if warning.hint:
                yield line((f"    {warning.hint}", "dim"))


def _carried_by_old(status: GateStatus) -> str:
    if not status.old_workers:
        return ""
    return f", carrying {sum(worker.carried for worker in status.old_workers)} requests and streams"


def _cluster(cluster: ClusterStatus) -> Iterator[Text]:
    yield line()
    opened = "" if cluster.mode == "terminate" else ", TLS passed through"
    verified = f"verified as {cluster.verified_name}" if cluster.verified_name else "NOT VERIFIED"
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
        style = "red" if left < 0 else "yellow" if left < 14 else ""
        yield line("  certificate    ", (f"{kind}, {left} days left", style), f", for {', '.join(cluster.certificate.names)}")
    if not cluster.servers:
        yield line("  ", ("no API server that can be used", "bold red"))
    for server in cluster.servers:
        yield _server(server)


def _server(server: ServerStatus) -> Text:
    since = f" for {_span(server.seconds)}" if server.seconds is not None else ""
    return line(
        "  ",
        (server.state.ljust(8), _STATES.get(server.state, "")),
        f" {server.address}{since}: {server.why}; carries {server.carried}",
    )


def _span(seconds: int) -> str:
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
