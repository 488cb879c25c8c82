"""`kubegate check` and `diff`: what a file would do, without doing it."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, columns, errors_reported, line, show, show_json
from kubegate.cli.options import DEFAULT_FILE, ConfigFile, OutputAs
from kubegate.cli.status import warnings

if TYPE_CHECKING:
    from kubegate.model.gate_status import Rehearsal
    from kubegate.model.plan import Backend
    from kubegate.runtime.control_client import Asked
    from kubegate.runtime.trial import Trial

CHECK = "Check a file and all that it names: every problem at once."
CHECK_EXAMPLES = ("kubegate check -c kubegate.yaml", "kubegate check -c kubegate.yaml --output json")
DIFF = "Say what a file would change in a running gate."
DIFF_EXAMPLES = ("kubegate diff -c kubegate.new.yaml", "kubegate diff -c kubegate.new.yaml --gate kubegate.yaml --output json")


def check(config: ConfigFile = DEFAULT_FILE, output: OutputAs = Output.TEXT) -> None:
    """Check a declared file."""
    from kubegate.runtime.trial import try_out

    with errors_reported(output):
        tried = asyncio.run(try_out(config, os.environ))
    if output is Output.JSON:
        clusters = [backend.cluster for backend in tried.plan.backends if backend.cluster]
        found = {"problems": [], "warnings": [asdict(one) for one in tried.warnings], "clusters": clusters}
        show_json(found | {"haproxy": str(tried.binary)})
    else:
        show(_checked(config, tried))


def _checked(file: Path, tried: "Trial") -> Iterator[Text]:
    clusters = [backend for backend in tried.plan.backends if backend.cluster]
    yield line((f"{file} can be used", "bold green"), f", and {tried.binary} accepts it")
    names: dict[str, list[str]] = {}
    for route in (route for front in tried.plan.frontends for route in front.routes):
        names.setdefault(route.backend, []).append(route.host)
    yield from columns([_cluster(backend, list(dict.fromkeys(names.get(backend.name, [])))) for backend in clusters])
    for warning in tried.warnings:
        yield line(("warning: ", "bold yellow"), f"{warning.where}: " if warning.where else "", warning.message)
        if warning.hint:
            yield line((f"         {warning.hint}", "dim"))


def _cluster(backend: "Backend", names: list[str]) -> tuple[str | tuple[str, str], ...]:
    servers = ", ".join(str(server) for server in backend.servers)
    verified = f"verified as {backend.verification.name}" if backend.verification else "NOT VERIFIED"
    what = (
        f"{servers} ({verified}), checked every {backend.health.interval / 1000:g} s" if servers else "no API server can be used"
    )
    opened = "" if backend.opened else "TLS passed through; "
    return (backend.cluster or "", "bold"), ", ".join(names) or "whatever name clients give", f"{opened}{what}"


GateFile = Annotated[
    Path | None, typer.Option("--gate", help="The file of the running gate that is meant.", metavar="FILE", readable=False)
]


def diff(config: ConfigFile = DEFAULT_FILE, gate: GateFile = None, output: OutputAs = Output.TEXT) -> None:
    """Compare a declared file with what runs: by default in the gate of this very file, else in the only one that runs."""
    from kubegate.runtime import control_client

    with errors_reported(output):
        asked = control_client.find(gate if gate is not None else config, os.environ)
        if gate is None and not asked.answers():
            asked = _only_one(asked)
        found = control_client.rehearse(asked, config)
    if output is Output.JSON:
        show_json(found.model_dump(mode="json", exclude={"files"}) | {"gate": str(asked.file)})
    else:
        if asked.file != config:
            show([line(f"compared with the gate of {asked.file}:")])
        show(_compared(found))


def _only_one(asked: "Asked") -> "Asked":
    """The only gate that runs, if there is one; else the one that was meant, which then says why it does not answer."""
    from kubegate.runtime import control_client

    try:
        other = control_client.find(None, os.environ)
    except control_client.NotRunning:
        return asked
    return other if other.answers() else asked


def _compared(found: "Rehearsal") -> Iterator[Text]:
    if not found.changes and not found.reload:
        yield line(("nothing would change", "bold"))
    else:
        yield from (line(f"  - {change}") for change in found.changes)
        how = "HAProxy would be reloaded, which cuts nothing" if found.reload else "no reload is needed"
        ended = (
            f"{found.streams_ended} open requests and streams would be ended" if found.streams_ended else "nothing would be ended"
        )
        yield line((f"{how}; {ended}", "bold"))
    if found.streams_at_bound:
        yield line(
            ("but ", "bold yellow"),
            "there are as many old workers as maxOldWorkers allows: if none ends in time, the oldest does, "
            f"with {found.streams_at_bound} requests and streams",
        )
    yield from warnings(found.warnings)
