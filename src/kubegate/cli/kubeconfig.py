"""`kubegate kubeconfig`: make one for a gate, merge it into another, take its credentials out."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, show, show_json
from kubegate.cli.epilog import examples, group
from kubegate.cli.options import OutputAs
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import explained, write_atomically, write_once

if TYPE_CHECKING:
    from kubegate.cluster.kubeconfig_file import Entries, Merged
    from kubegate.runtime.extract import Extracted

SUMMARY = "Make, merge and take apart kubeconfigs."
EXAMPLES = (
    "kubegate kubeconfig make --help",
    "kubegate kubeconfig merge client.kubeconfig",
    "kubegate kubeconfig extract --out pem",
)
MAKE = "Make a kubeconfig for a gate or any API server."
MAKE_EXAMPLES = (
    "kubegate kubeconfig make -c kubegate.yaml --token-file token --out client.kubeconfig",
    "kubegate kubeconfig make --server prod=https://api.example.com --exec aws --exec-arg eks --exec-arg get-token",
    "kubegate kubeconfig make --server https://10.0.0.1:6443 --ca ca.crt --client-cert me.crt --client-key me.key --out me.yaml",
)
MERGE = "Merge a kubeconfig into yours; nothing in it is overwritten."
MERGE_EXAMPLES = (
    "kubegate kubeconfig merge client.kubeconfig",
    "kubegate kubeconfig merge admin.conf --prefix lab- --use",
    "kubegate kubeconfig merge admin.conf --into team.kubeconfig --rename kubernetes=lab --rename kubernetes-admin=lab-admin",
)
EXTRACT = "Write a context's key, certificate and CA as PEM files."
EXTRACT_EXAMPLES = ("kubegate kubeconfig extract --out pem", "kubegate kubeconfig extract --context prod --out pem --output json")

Kubeconfig = Annotated[
    Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE", readable=False)
]
Context = Annotated[str | None, typer.Option(help="Context that is meant. Default: the current one.", metavar="NAME")]


def make(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Declared file: an entry per cluster.", metavar="FILE", readable=False),
    ] = None,
    cluster: Annotated[list[str] | None, typer.Option(help="Only this cluster of the file. Repeatable.", metavar="NAME")] = None,
    address: Annotated[
        str, typer.Option(help="Where the file's gate is reached. Default: the cluster's first host.", metavar="HOST")
    ] = "",
    server: Annotated[
        list[str] | None, typer.Option(help="API server or gate, instead of a file. Repeatable.", metavar="[NAME=]URL")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="CA to embed (PEM). Default: none.", metavar="FILE", readable=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Let clients verify nothing. Dangerous.")] = False,
    tls_server_name: Annotated[str, typer.Option(help="Name to verify instead of the URL's host.", metavar="NAME")] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File with a bearer token to put in.", metavar="FILE", readable=False)
    ] = None,
    token_env: Annotated[str, typer.Option(help="Environment variable with a bearer token to put in.", metavar="NAME")] = "",
    command: Annotated[str, typer.Option("--exec", help="Credential plugin to log in with.", metavar="COMMAND")] = "",
    exec_arg: Annotated[list[str] | None, typer.Option(help="Argument of the plugin. Repeatable.", metavar="TEXT")] = None,
    exec_env: Annotated[list[str] | None, typer.Option(help="Variable of the plugin. Repeatable.", metavar="NAME=VALUE")] = None,
    client_cert: Annotated[
        Path | None, typer.Option(help="Client certificate to embed (PEM).", metavar="FILE", readable=False)
    ] = None,
    client_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).", metavar="FILE", readable=False)] = None,
    user: Annotated[str, typer.Option(help="Name of the user in it.", metavar="NAME")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of its contexts.", metavar="NAME")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write it to this new file (0600). Default: print it.", metavar="FILE", readable=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a kubeconfig."""
    from kubegate.cluster.kubeconfig_file import render_kubeconfig
    from kubegate.runtime.client_kubeconfig import Wanted, make

    wanted = Wanted(
        config=config,
        clusters=cluster or (),
        servers=server or (),
        address=address,
        ca=ca,
        insecure=insecure,
        tls_server_name=tls_server_name,
        token_file=token_file,
        token_env=token_env,
        command=command,
        arguments=exec_arg or (),
        variables=exec_env or (),
        client_cert=client_cert,
        client_key=client_key,
        user=user,
        namespace=namespace,
    )
    with errors_reported(output, "nothing was written"):
        made = make(wanted, os.environ)
        content = render_kubeconfig(made.entries)
        if out is not None:
            _write(out, content, force=force)
    if output is Output.JSON:
        facts = {"file": str(out)} if out is not None else {"kubeconfig": content.decode()}
        names = {"contexts": list(made.entries.contexts), "current_context": made.entries.current_context}
        show_json(facts | names | {"warnings": [asdict(one) for one in made.warnings]})
        return
    show(_warned(made.warnings), stderr=True)
    if out is not None:
        show(_written(out, made.entries))
    else:
        typer.echo(content.decode(), nl=False)


def _write(out: Path, content: bytes, *, force: bool) -> None:
    if not force and os.path.lexists(out):
        hint = "name a new file, or say --force; kubegate kubeconfig merge adds to a file and loses nothing"
        raise InvalidInput(
            [Problem(f"--out {printable(str(out))}", "out.exists", "there is something of this name already", hint)]
        )
    with explained(f"{printable(str(out))} cannot be written", "name a file in a folder that is there"):
        if force:
            write_atomically(Path(os.path.realpath(out)), content)
        else:
            write_once(out, content)


def _written(out: Path, entries: "Entries") -> Iterator[Text]:
    yield line((f"{out} is written", "bold green"), f", for this user alone; contexts: {', '.join(entries.contexts)}")
    yield line(f"  kubectl --kubeconfig {out} get nodes")
    yield line(f"  kubegate kubeconfig merge {out}")


def _warned(warnings: Iterable[Problem]) -> Iterator[Text]:
    for one in warnings:
        yield line(("warning: ", "bold yellow"), f"{one.where}: " if one.where else "", one.message)
        if one.hint:
            yield line((f"         {one.hint}", "dim"))


def merge(
    file: Annotated[Path, typer.Argument(help="Kubeconfig whose entries are added.", metavar="FILE", readable=False)],
    into: Annotated[
        Path | None,
        typer.Option(
            help="Kubeconfig to add to. Default: the first of $KUBECONFIG, else ~/.kube/config.", metavar="FILE", readable=False
        ),
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="Add what is called OLD under another name. Repeatable.", metavar="OLD=NEW")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put this before each name that is added.", metavar="TEXT")] = "",
    use: Annotated[bool, typer.Option("--use", help="Make the file's current context the current one.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Merge a kubeconfig into another."""
    from kubegate.cluster.kubeconfig_file import merge_into, read_entries, renamed
    from kubegate.runtime.findings import Findings

    with errors_reported(output, "nothing was written"):
        findings = Findings([])
        names: dict[str, str] = {}
        target = into
        with findings.also():
            names = _renames(rename or [])
        with findings.also():
            target = into or _own()
        with findings.also():
            entries = renamed(read_entries(file), names, prefix, "--rename")
        findings.raise_if_any()
        assert target is not None
        done = merge_into(target, entries, use=use, beside=[] if into else [one for one in _listed() if one != target])
    if output is Output.JSON:
        show_json(
            {
                "file": str(done.file),
                "added": list(done.added),
                "same": list(done.same),
                "backup": str(done.backup) if done.backup else None,
                "current_context": done.current,
            }
        )
    else:
        show(_merged(done, entries.current_context))


def _own() -> Path:
    """The person's own kubeconfig: where kubectl writes new entries (client-go, PathOptions.GetDefaultFilename)."""
    from kubegate.cluster.merge import default_file

    if listed := _listed():
        return next((one for one in listed if one.exists()), listed[-1])
    found = default_file(os.environ)
    if found is None:
        raise InvalidInput([Problem("$HOME", "kubeconfig.missing", "this user has no home folder", "say --into FILE")])
    return found


def _listed() -> list[Path]:
    """The files that kubectl reads together."""
    return [Path(text) for text in dict.fromkeys(os.environ.get("KUBECONFIG", "").split(os.pathsep)) if text]


def _renames(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    problems = [
        Problem(f"--rename {printable(''.join(pair))}", "kubeconfig.rename", "is not OLD=NEW", "write --rename OLD=NEW")
        for pair in pairs
        if not all(pair)
    ]
    if problems:
        raise InvalidInput(problems)
    return {old: new for old, _, new in pairs}


def _merged(done: "Merged", offered: str) -> Iterator[Text]:
    if not done.added:
        yield line((f"{done.file} has all of it already", "bold"))
    else:
        yield line((f"{done.file} has {len(done.added)} entries more", "bold green"))
        yield from (line(f"  + {one}") for one in done.added)
    yield from (line((f"    {one} was there already", "dim")) for one in done.same if done.added)
    if done.backup:
        yield line(f"as it was before: {done.backup}")
    if offered and done.current != offered:
        yield line(f"the current context is {done.current or 'none'}, as before; kubectl config use-context {offered}")
    else:
        yield line(f"the current context is {done.current or 'none'}")


def extract(
    out: Annotated[Path, typer.Option(help="New folder for the files.", metavar="FOLDER", readable=False)],
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Take a context's credentials out of a kubeconfig."""
    from kubegate.runtime.extract import extract

    with errors_reported(output, "nothing was written"):
        done = asyncio.run(extract(kubeconfig, context, out, os.environ))
    if output is Output.JSON:
        show_json(done.facts())
    else:
        show(_extracted(done))


def _extracted(done: "Extracted") -> Iterator[Text]:
    yield line((f"{done.context} at {done.url}", "bold"), f": {len(done.files)} files in {done.folder}, for this user alone")
    yield from (line(f"  {name}") for name in done.files)
    yield line()
    yield line(("What kubectl logs in with", "bold"))
    for choice in done.choices:
        used = ("used    ", "green") if choice.used else ("not used", "dim")
        yield line("  ", used, f"  {choice.what}: {choice.why}")
    yield line()
    yield line(("Try", "bold"))
    for attempt in done.attempts:
        yield line((f"  # {attempt.shows}", "dim"))
        yield line(f"  {attempt.command}")
    if done.warnings:
        yield line()
        yield from _warned(done.warnings)


app = group(SUMMARY, *EXAMPLES)
app.command("make", help=MAKE, epilog=examples(*MAKE_EXAMPLES))(make)
app.command("merge", help=MERGE, epilog=examples(*MERGE_EXAMPLES))(merge)
app.command("extract", help=EXTRACT, epilog=examples(*EXTRACT_EXAMPLES))(extract)
