"""`kubegate trust`: who could read and change what, on the way from here to an API server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import FAILURE, Output, errors_reported, line, rows, show, show_json
from kubegate.cli.options import OutputAs

if TYPE_CHECKING:
    from kubegate.model.custody import Custody, Hop, Verified

SUMMARY = "Show hop by hop who is verified on the way to an API server."
EXAMPLES = (
    "kubegate trust",
    "kubegate trust --kubeconfig client.kubeconfig -c kubegate.yaml",
    "kubegate trust --check --output json",
)


def command(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context to look at. Default: the current one.", metavar="NAME")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Declaration of the gate on the way. Default: what runs here.", metavar="FILE", readable=False
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 if a hop is not verified, or cannot be seen.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Show the chain of custody."""
    from kubegate.runtime.custody import TrustFlags, custody, facts

    with errors_reported(output):
        found = custody(TrustFlags(kubeconfig, context, config), os.environ)
    if output is Output.JSON:
        show_json(facts(found))
    else:
        show(_text(found))
    if check and not found.sound:
        raise typer.Exit(FAILURE)


def _text(found: "Custody") -> Iterator[Text]:
    yield line((f"context {found.context}", "bold"), f" at {found.url}, logs in by {found.login}")
    yield line()
    yield line(
        "  ", (found.hops[0].start, "bold"), *(part for number, hop in enumerate(found.hops, 1) for part in _arrow(number, hop))
    )
    for number, hop in enumerate(found.hops, 1):
        yield line()
        yield from _hop(number, hop)
    if found.notes:
        yield line()
    yield from (line(f"  - {note}") for note in found.notes)


def _arrow(number: int, hop: "Hop") -> tuple[str | tuple[str, str], ...]:
    style = "green" if hop.sound else "bold red"
    how = "?" if hop.unknown else "verified TLS" if hop.sound else "TLS" if hop.tls else "NO TLS"
    return (f" ──[{number}: {how}]──> ", style), (hop.end, "bold")


def _hop(number: int, hop: "Hop") -> Iterator[Text]:
    yield line((f"[{number}] {hop.start} to {hop.end}", "bold"))
    if hop.unknown:
        yield line("  ", ("not known: ", "bold yellow"), hop.unknown)
        yield line((f"  {hop.hint}", "dim"))
        return
    facts = []
    for at, one in enumerate(hop.shown):
        issuer = "itself" if one.self_signed else one.issuer
        names = f", for {', '.join(one.names)}" if one.names else ""
        facts.append(("shows" if at == 0 else "and", f"{one.subject}{names}, signed by {issuer}, until {one.not_after:%Y-%m-%d}"))
    facts.append(("verified", _verified(hop.verified) if hop.tls else "by nobody: there is no TLS"))
    if hop.where:
        facts.append(("declared", hop.where))
    yield from rows(facts)
    if hop.trouble:
        yield line("  ", ("does not prove itself now: ", "bold red"), hop.trouble)
        if hop.hint:
            yield line((f"  {hop.hint}", "dim"))
    yield line("  a person in the middle with a self-signed certificate gets ", (hop.says, "bold red" if hop.loot else "green"))
    yield from (line((f"  - {note}", "dim")) for note in hop.notes)


def _verified(by: "Verified | None") -> str:
    if by is None:
        return "BY NOBODY: whoever answers is believed"
    if by.system:
        return f"by the CAs of this machine, as {by.name}"
    trusted = ", ".join(f"{one.subject} ({one.pin})" for one in by.anchors) or "a CA that is not known here"
    return f"by {trusted}, as {by.name}"
