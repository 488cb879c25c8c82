"""`kubegate test-connection` and `kubegate whoami`: each way to a cluster, tried as a client would."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import FAILURE, Output, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.runtime.connection import Known, TestedConnection, TriedWay

TEST = "Try each way to a cluster, and say where it ends."
TEST_EXAMPLES = (
    "kubegate test-connection",
    "kubegate test-connection --context prod -c kubegate.yaml",
    "kubegate test-connection --server https://gate.example.com --ca ca.crt --get /api/v1/namespaces/dev/pods",
)
WHOAMI = "Ask the API server who you are, on each way."
WHOAMI_EXAMPLES = ("kubegate whoami", "kubegate whoami -c kubegate.yaml --output json")

Kubeconfig = Annotated[
    Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE", readable=False)
]
Context = Annotated[str | None, typer.Option(help="Context that is meant. Default: the current one.", metavar="NAME")]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="Declared file of a gate to go through.", metavar="FILE", readable=False)
]
Cluster = Annotated[
    list[str] | None,
    typer.Option(help="The context's cluster in that file. Default: found by its API server. Repeatable.", metavar="NAME"),
]
Server = Annotated[list[str] | None, typer.Option(help="Another server that leads to it. Repeatable.", metavar="URL")]
Authority = Annotated[
    Path | None, typer.Option(help="CA of --server (PEM). Default: the kubeconfig's.", metavar="FILE", readable=False)
]
ServerName = Annotated[str, typer.Option(help="Name to verify --server by instead of its host.", metavar="NAME")]
_MARKS = {True: ("ok    ", "green"), False: ("FAILED", "bold red"), None: ("-     ", "yellow")}


def test(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    config: Config = None,
    cluster: Cluster = None,
    server: Server = None,
    ca: Authority = None,
    tls_server_name: ServerName = "",
    get: Annotated[str, typer.Option("--get", help="List to ask for.", metavar="PATH")] = "/api/v1/nodes",
    output: OutputAs = Output.TEXT,
) -> None:
    """Try each way to a cluster."""
    from kubegate.runtime.connection import ready, tested
    from kubegate.runtime.ways import Asked

    with errors_reported(output):
        _check_path(get)
        asked = Asked(config, cluster or (), server or (), ca, tls_server_name)
        chosen, ways = ready(kubeconfig, context, asked, os.environ)
        found = asyncio.run(tested(chosen, ways, os.environ, path=get))
    if output is Output.JSON:
        facts = {"context": found.context.name, "ok": found.well, "ways": [one.facts() for one in found.ways]}
        show_json(facts | {"notes": [asdict(one) for one in found.notes]})
    else:
        show(_tested(found))
    if not found.well:
        raise typer.Exit(FAILURE)


def _check_path(path: str) -> None:
    if not path.startswith("/") or not path.isascii() or any(char <= " " for char in path) or "#" in path:
        message, hint = "is no path of the API", "write it as in /api/v1/namespaces/dev/pods"
        raise InvalidInput([Problem("--get", "flag.path", message, hint)])


def _tested(found: "TestedConnection") -> Iterator[Text]:
    yield line((f"context {found.context.name}", "bold"), f", as {found.context.credential.describe()}")
    for one in found.ways:
        yield line()
        yield from _way(one)
    yield from _notes(found.notes)
    yield line()
    bad = [one for one in found.ways if one.tried.failure]
    named = [one for one in bad if one.way.asked]
    if named:
        yield line((f"{len(named)} of the ways that you named do not work", "bold red"))
    elif bad:
        yield line((f"it works; {len(bad)} of the ways that the cluster names cannot be gone from here", "bold yellow"))
    else:
        yield line(("every way works", "bold green"))


def _way(one: "TriedWay") -> Iterator[Text]:
    yield line((f"{one.way.kind} {one.way.name}", "bold"), f" at {one.way.url}")
    for step in one.tried.steps:
        yield line("  ", _MARKS[step.passed], f"  {step.what.ljust(7)}  {step.detail}")
    if one.tried.failure and one.tried.failure.hint:
        yield line((f"                   {one.tried.failure.hint}", "dim"))


def _notes(notes: tuple[Problem, ...]) -> Iterator[Text]:
    if notes:
        yield line()
    for note in notes:
        yield line(("not known: ", "yellow"), f"{note.where}: {note.message}")
        if note.hint:
            yield line((f"           {note.hint}", "dim"))


def whoami(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    config: Config = None,
    cluster: Cluster = None,
    server: Server = None,
    ca: Authority = None,
    tls_server_name: ServerName = "",
    output: OutputAs = Output.TEXT,
) -> None:
    """Say who the API server takes you for."""
    from kubegate.runtime.connection import identities, ready
    from kubegate.runtime.ways import Asked

    with errors_reported(output):
        asked = Asked(config, cluster or (), server or (), ca, tls_server_name)
        chosen, ways = ready(kubeconfig, context, asked, os.environ)
        found = asyncio.run(identities(chosen, ways, os.environ))
    if output is Output.JSON:
        facts = {"context": chosen.name, "credential": chosen.credential.describe(), "ok": found.well, "same": found.same}
        listed = {"ways": [one.facts() for one in found.known], "notes": [asdict(one) for one in found.notes]}
        show_json(facts | listed)
    else:
        show([line((f"context {chosen.name}", "bold"), f", with {chosen.credential.describe()}")])
        show(text for one in found.known for text in _known(one))
        show(_notes(found.notes))
        if not found.same:
            show([line(), line(("not the same user on every way: something in between logs in by itself", "bold red"))])
    if not found.well:
        raise typer.Exit(FAILURE)


def _known(one: "Known") -> Iterator[Text]:
    yield line()
    yield line((f"{one.way.kind} {one.way.name}", "bold"), f" at {one.way.url}")
    if one.failure is not None:
        yield line("  ", _MARKS[False], f"  {one.failure.message}")
        if one.failure.hint:
            yield line((f"          {one.failure.hint}", "dim"))
    if one.identity is None:
        return
    yield line(("  user    ", "cyan"), one.identity.username)
    yield line(("  groups  ", "cyan"), ", ".join(one.identity.groups) or "none")
    if one.identity.uid:
        yield line(("  uid     ", "cyan"), one.identity.uid)
    for key, values in one.identity.extra.items():
        yield line(("  extra   ", "cyan"), f"{key}: {', '.join(values)}")
