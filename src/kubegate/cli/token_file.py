"""`kubegate bootstrap token-file`: static tokens, for a first contact where there are no bootstrap tokens."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from kubegate.cli.console import BAD_INPUT, Output, columns, errors_reported, line, show, show_json
from kubegate.cli.options import OutputAs

if TYPE_CHECKING:
    from kubegate.bootstrap.token_file import StaticToken
    from kubegate.model.problem import Problem

LIST = "Show the tokens of a file, masked, and what kube-apiserver passes over in silence."
LIST_EXAMPLES = ("kubegate bootstrap token-file list tokens.csv",)
ADD = "Add a token of 128 bits; the file is made where there is none."
ADD_EXAMPLES = ("kubegate bootstrap token-file add tokens.csv --user kubelet-bootstrap --uid 10001 --group system:bootstrappers",)
REMOVE = "Remove all tokens of a user."
REMOVE_EXAMPLES = ("kubegate bootstrap token-file remove tokens.csv --user kubelet-bootstrap",)

File = Annotated[Path, typer.Argument(help="The file of --token-auth-file.", metavar="FILE", readable=False)]
User = Annotated[str, typer.Option(help="Name of the user.", metavar="NAME")]
_RESTART = "kube-apiserver reads the file at its start only: restart it."


def list_(file: File, output: OutputAs = Output.TEXT) -> None:
    """Show a file's tokens; what is wrong with it ends this with 2."""
    from kubegate.runtime import token_files

    with errors_reported(output):
        found = token_files.look(file)
    wrong = (*found.fatal, *found.faults)
    if output is Output.JSON:
        problems = [{"where": one.where, "code": one.code, "message": one.message, "hint": one.hint} for one in wrong]
        show_json({"tokens": [_facts(one) for one in found.tokens], "starts": not found.fatal, "problems": problems})
    else:
        show(_listed(found.tokens))
        show(_problems(wrong), stderr=True)
    if wrong:
        raise typer.Exit(BAD_INPUT)


def add(
    file: File,
    user: User,
    uid: Annotated[str, typer.Option(help="What the API server writes as the user's uid.", metavar="ID")],
    group: Annotated[list[str] | None, typer.Option(help="Group of the user. Repeatable.", metavar="NAME")] = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Add a token."""
    from kubegate.runtime import token_files

    with errors_reported(output, "nothing was changed"):
        changed = token_files.add(file, user, uid, group or ())
    _said("added to", file, changed.tokens, changed.faults, output)


def remove(file: File, user: User, output: OutputAs = Output.TEXT) -> None:
    """Remove a user's tokens."""
    from kubegate.runtime import token_files

    with errors_reported(output, "nothing was changed"):
        changed = token_files.remove(file, user)
    _said("removed from", file, changed.tokens, changed.faults, output)


def _said(what: str, file: Path, tokens: "Iterable[StaticToken]", faults: "Iterable[Problem]", output: Output) -> None:
    if output is Output.JSON:
        show_json({"file": str(file), "tokens": [_facts(one) for one in tokens], "restart": True})
        return
    show(line((f"{one.masked} of {one.user}", "bold"), f" was {what} {file}") for one in tokens)
    show([line(_RESTART)])
    show(_problems(faults), stderr=True)


def _facts(one: "StaticToken") -> dict[str, Any]:
    return {"line": one.line, "token": one.masked, "user": one.user, "uid": one.uid, "groups": list(one.groups)}


def _listed(tokens: "tuple[StaticToken, ...]") -> Iterator[Text]:
    if not tokens:
        yield line("No token of this file authenticates anybody.")
        return
    head: list[list[str | tuple[str, str]]] = [[(word, "bold") for word in ("line", "token", "user", "uid", "groups")]]
    rows: list[list[str | tuple[str, str]]] = [[str(t.line), t.masked, t.user, t.uid, ", ".join(t.groups)] for t in tokens]
    yield from columns([*head, *rows], indent="")


def _problems(problems: "Iterable[Problem]") -> Iterator[Text]:
    for one in problems:
        yield line(("problem: ", "bold yellow"), (f"{one.where}: ", "bold"), one.message)
        if one.hint:
            yield line((f"         {one.hint}", "dim"))
