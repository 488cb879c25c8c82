"""`kubegate endpoints`: every way to a cluster's API, as a table."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, columns, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs

if TYPE_CHECKING:
    from kubegate.runtime.endpoints import Certificate, KnownEndpoint, KnownEndpoints

SUMMARY = "Find every address of a cluster's API server."
EXAMPLES = ("kubegate endpoints", "kubegate endpoints --context prod -c kubegate.yaml", "kubegate endpoints --output json")

_FEW_DAYS = 14


def command(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE", readable=False)
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context that is meant. Default: the current one.", metavar="NAME")] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config", "-c", help="Declared file of a gate that may expose it. Repeatable.", metavar="FILE", readable=False
        ),
    ] = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Find a cluster's API servers."""
    from kubegate.runtime.endpoints import find

    with errors_reported(output):
        found = find(kubeconfig, context, config or (), os.environ)
    if output is Output.JSON:
        facts = {"context": found.context.name, "endpoints": [one.facts() for one in found.endpoints]}
        show_json(facts | {"notes": [asdict(one) for one in found.notes]})
    else:
        show(_text(found))


def _text(found: "KnownEndpoints") -> Iterator[Text]:
    yield line((f"{len(found.endpoints)} addresses of the API of context {found.context.name}", "bold"))
    yield line()
    yield from columns([_HEAD, *(_row(one) for one in found.endpoints)])
    for one in found.endpoints:
        yield line()
        yield line((one.endpoint, "bold"))
        for address in one.addresses:
            yield line(f"  {address.address}: {address.kind}")
        if one.certificate is not None:
            yield line(f"  certificate for {', '.join(one.certificate.names) or 'no name'}, issued by {one.certificate.issuer}")
            if one.certificate.verified_by is None:
                yield line(("  NOT VERIFIED: ", "bold red"), one.certificate.why)
            else:
                yield line(f"  verified as {one.certificate.verified_name}, by {one.certificate.verified_by}")
        elif one.trouble:
            yield line(f"  {one.trouble}")
    for note in found.notes:
        yield line()
        yield line(("not known: ", "yellow"), f"{note.where}: {note.message}")
        if note.hint:
            yield line((f"           {note.hint}", "dim"))


_HEAD = (
    ("ADDRESS", "bold"),
    ("CLASS", "bold"),
    ("FROM HERE", "bold"),
    ("CERTIFICATE", "bold"),
    ("ANONYMOUS", "bold"),
    ("NAMED BY", "bold"),
)


def _row(one: "KnownEndpoint") -> tuple[str | tuple[str, str], ...]:
    kinds = ", ".join(dict.fromkeys(address.kind.partition(" (")[0] for address in one.addresses))
    reachable = ("reachable", "green") if one.reachable else ("no", "yellow")
    version = f" {one.version}" if one.version else ""
    anonymous = f"{one.anonymous}{version}" if one.anonymous is not None else "not asked"
    return one.endpoint, kinds or "?", reachable, _certificate(one.certificate), anonymous, "; ".join(one.sources)


def _certificate(certificate: "Certificate | None") -> str | tuple[str, str]:
    if certificate is None:
        return "none seen"
    if certificate.verified_by is None:
        return "NOT VERIFIED", "bold red"
    left = f"{certificate.days_left} days left"
    return (left, "yellow") if certificate.days_left < _FEW_DAYS else left
