"""`kubegate check`, `diff` and `render`: what a file would do, without doing it."""

import asyncio
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.run import DEFAULT_FILE, ConfigFile, OutputAs
from kubegate.render.haproxy import CONFIG_FILE

if TYPE_CHECKING:
    from kubegate.runtime.trial import Comparison, Trial

CHECK = "Check a file and all that it names: every problem at once."
CHECK_EXAMPLES = ("kubegate check -c kubegate.yaml", "kubegate check -c kubegate.yaml --output json")
DIFF = "Say what a file would change in the running gate."
DIFF_EXAMPLES = ("kubegate diff -c kubegate.yaml",)
RENDER = "Print exactly what would run."
RENDER_EXAMPLES = ("kubegate render haproxy -c kubegate.yaml", "kubegate render haproxy -c kubegate.yaml --out folder")


class Target(StrEnum):
    """What a file can be rendered for."""

    HAPROXY = "haproxy"


def check(config: ConfigFile = DEFAULT_FILE, output: OutputAs = Output.TEXT) -> None:
    """Check a declared file."""
    from kubegate.runtime.trial import try_out

    with errors_reported(output):
        tried = asyncio.run(try_out(config, os.environ))
    if output is Output.JSON:
        warnings = [{"where": w.where, "code": w.code, "message": w.message, "hint": w.hint} for w in tried.warnings]
        show_json({"problems": [], "warnings": warnings, "clusters": [one.cluster for one in tried.plan.backends if one.cluster]})
    else:
        show(_checked(config, tried))


def _checked(file: Path, tried: "Trial") -> Iterator[Text]:
    clusters = [backend for backend in tried.plan.backends if backend.cluster]
    servers = sum(len(backend.servers) for backend in clusters)
    yield line(
        (f"{file} can be used", "bold green"), f": {len(clusters)} clusters, {servers} API servers, and HAProxy accepts it"
    )
    for warning in tried.warnings:
        yield line(("warning: ", "bold yellow"), f"{warning.where}: " if warning.where else "", warning.message)
        if warning.hint:
            yield line((f"         {warning.hint}", "dim"))


def diff(config: ConfigFile = DEFAULT_FILE, output: OutputAs = Output.TEXT) -> None:
    """Compare a declared file with what runs."""
    from kubegate.runtime.trial import compare

    with errors_reported(output):
        found = asyncio.run(compare(config, os.environ))
    if output is Output.JSON:
        show_json({"changes": list(found.changes), "reload": found.reload, "streams_ended": found.streams_ended})
    else:
        show(_compared(found))


def _compared(found: "Comparison") -> Iterator[Text]:
    if not found.changes and not found.reload:
        yield line("nothing would change")
        return
    for change in found.changes:
        yield line(f"  - {change}")
    how = "HAProxy would be reloaded, which cuts no stream" if found.reload else "no reload is needed"
    ended = f"{found.streams_ended} open streams would be ended" if found.streams_ended else "no open stream would be ended"
    yield line((f"{how}; {ended}", "bold"))


def render(
    target: Annotated[Target, typer.Argument(help="What to render for.")],
    config: ConfigFile = DEFAULT_FILE,
    out: Annotated[Path | None, typer.Option(help="Write every file, keys too, into this new folder.", metavar="FOLDER")] = None,
) -> None:
    """Print what a file is rendered to."""
    from kubegate.runtime.trial import try_out

    del target
    with errors_reported(Output.TEXT):
        tried = asyncio.run(try_out(config, os.environ))
        if out is not None:
            _write(out, tried)
            return
    typer.echo(tried.bundle.files[CONFIG_FILE].decode(), nl=False)


def _write(folder: Path, tried: "Trial") -> None:
    folder.mkdir(mode=0o700)
    for name, content in tried.bundle.files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
