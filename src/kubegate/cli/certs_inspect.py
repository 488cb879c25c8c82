"""`kubegate certs inspect`: certificates as a picture in text, and who would trust them."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from kubegate.cli.certs_common import facts, left
from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs

if TYPE_CHECKING:
    from kubegate.pki.certificate import Certificate
    from kubegate.pki.chain import Arrangement, Verdict
    from kubegate.runtime.inspection import View

SUMMARY = "Show the certificates of a file, a server or a kubeconfig, and who would trust them."
EXAMPLES = (
    "kubegate certs inspect gate.crt",
    "kubegate certs inspect gate.crt --key gate.key",
    "kubegate certs inspect gate.example.com:6443 --context prod",
    "kubegate certs inspect kubeconfig --output json",
)


def command(
    target: Annotated[str, typer.Argument(help="FILE, HOST:PORT, or the word kubeconfig for the one that kubectl finds.")],
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Kubeconfig to judge by. Default: the one that kubectl finds.", metavar="FILE", readable=False),
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of it. Default: its current one.", metavar="NAME")] = None,
    server_name: Annotated[
        str | None, typer.Option(help="The name that is asked for. Default: HOST, or the certificate's own.", metavar="NAME")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="A key that may belong to it.", metavar="FILE", readable=False)] = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Inspect certificates."""
    from kubegate.runtime.inspection import Options, inspect

    with errors_reported(output):
        views = asyncio.run(inspect(target, Options(kubeconfig, context, server_name, key), os.environ))
    if output is Output.JSON:
        show_json({"found": [_facts(view) for view in views]})
    else:
        show(text for number, view in enumerate(views) for text in ([line()] if number else []) + list(_view(view)))


def _view(view: "View") -> Iterator[Text]:
    yield line((view.title, "bold"))
    if view.trouble:
        yield line(("  ", ""), (view.trouble, "bold red"))
    if view.bundle:
        yield line(f"  {len(view.bundle)} CA certificate{'s' if len(view.bundle) != 1 else ''}")
        for one in view.bundle:
            days, style = left(one)
            yield line("  - ", one.subject, ", ", (days, style), f", sha256 {one.sha256}")
    if view.arrangement is not None:
        yield from _picture(view.arrangement)
        yield from _remarks(view.arrangement)
    yield from _sentences(view)


def _picture(found: "Arrangement") -> Iterator[Text]:
    for number, one in enumerate(found.chain):
        if number:
            yield line("  ▲ issued by")
        yield from _certificate(one)
    if found.missing:
        yield line("  ▲ issued by")
        yield line("  ┌ ", (found.missing, "yellow"), ", which is not there")


def _certificate(one: "Certificate") -> Iterator[Text]:
    from kubegate.pki.describe import constrained_to, key_of, usages_of

    days, style = left(one)
    yield line("  ┌ ", (one.subject or "without a subject", "bold"))
    if one.names:
        yield line("  │ for      ", ", ".join(one.names))
    yield line("  │ use      ", ", ".join(usages_of(one)), f"; {key_of(one)}")
    if one.is_ca:
        bounds = constrained_to(one)
        yield line("  │ may vouch for ", (bounds, "") if bounds else ("every name there is", "yellow"))
    yield line(f"  │ valid    {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d}, ", (days, style))
    yield line("  │ issuer   ", "itself" if one.self_signed else one.issuer)
    yield line(f"  └ sha256   {one.sha256}")


def _remarks(found: "Arrangement") -> Iterator[Text]:
    if not found.in_order:
        yield line(("  The order is wrong: ", "yellow"), "the certificate itself has to stand first, each issuer after it.")
    if found.missing and len(found.chain) == 1:
        yield line("  It comes alone: clients have to know ", found.missing, " already.")
    elif found.missing:
        yield line("  The chain ends in an intermediate: clients have to know ", found.missing, " already.")
    if found.root_is_sent:
        yield line("  The root comes with it; clients need no such copy, but kubegate takes it for their kubeconfigs.")
    for one in found.superfluous:
        yield line(("  Superfluous: ", "yellow"), one.subject, " is no part of the chain, or stands twice.")


def _sentences(view: "View") -> Iterator[Text]:
    found = view.arrangement
    if found is not None and view.browser is not None:
        yield _sentence("A browser on this machine", view.browser, found)
    if found is not None and view.kubeconfig is not None:
        yield _sentence(f"The kubeconfig (context {view.context})", view.kubeconfig, found)
    if view.key_trouble:
        yield line(("  Its key could not be looked at: ", "yellow"), view.key_trouble, ".")
    elif view.key_belongs is not None:
        text, style = ("belongs to it", "green") if view.key_belongs else ("does NOT belong to it", "bold red")
        yield line("  The key ", (text, style), ".")


def _sentence(who: str, verdict: "Verdict", found: "Arrangement") -> Text:
    if not verdict.trusted:
        return line(f"  {who} ", ("would not trust it", "bold red"), f": {verdict.why}.")
    names = ", ".join(found.leaf.names)
    return line(f"  {who} ", ("would trust it", "green"), f" for {names}, until {found.until:%Y-%m-%d %H:%M} UTC: {verdict.why}.")


def _facts(view: "View") -> dict[str, Any]:
    found = view.arrangement
    shown: dict[str, Any] = {"what": view.title, "trouble": view.trouble}
    if view.bundle:
        shown["bundle"] = [facts(one) for one in view.bundle]
    if found is not None:
        shown |= {
            "chain": [facts(one) for one in found.chain],
            "in_order": found.in_order,
            "missing": found.missing,
            "root_is_sent": found.root_is_sent,
            "superfluous": [one.subject for one in found.superfluous],
            "valid_until": found.until.isoformat(),
        }
    judges = {"browser": view.browser, "kubeconfig": view.kubeconfig}
    shown |= {name: {"trusted": one.trusted, "why": one.why} for name, one in judges.items() if one is not None}
    if view.kubeconfig is not None:
        shown["context"] = view.context
    if view.key_belongs is not None:
        shown["key_belongs"] = view.key_belongs
    if view.key_trouble:
        shown["key_trouble"] = view.key_trouble
    return shown
