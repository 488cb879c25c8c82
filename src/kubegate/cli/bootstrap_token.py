"""`kubegate bootstrap token`: tokens with which nodes make their first contact."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from kubegate.cli.console import Output, columns, errors_reported, line, show, show_json
from kubegate.cli.options import ContextName, KubeconfigFile, OutputAs
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.bootstrap.tokens import BootstrapToken

CREATE = "Make a token; it is printed, or written to a file, this once."
CREATE_EXAMPLES = (
    "kubegate bootstrap token create --for 1h --description 'rack 7'",
    "kubegate bootstrap token create --group system:bootstrappers:workers --out token",
)
LIST = "List tokens, masked."
LIST_EXAMPLES = ("kubegate bootstrap token list", "kubegate bootstrap token list --output json")
DELETE = "Delete tokens by their ids."
DELETE_EXAMPLES = ("kubegate bootstrap token delete abcdef",)


class Usage(StrEnum):
    """What a token is good for."""

    AUTHENTICATION = "authentication"
    SIGNING = "signing"


def create(
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    lifetime: Annotated[str, typer.Option("--for", help="How long it is good.", metavar="DURATION")] = "24h",
    usage: Annotated[list[Usage] | None, typer.Option(help="What for; repeatable. Default: both.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="One more group of its bearer. Repeatable.", metavar="NAME")] = None,
    description: Annotated[str, typer.Option(help="What it is for, in words.", metavar="TEXT")] = "",
    out: Annotated[Path | None, typer.Option(help="Write it to this new file instead of printing it.", metavar="FILE")] = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a token."""
    from kubegate.runtime.bootstrap_tokens import make
    from kubegate.runtime.csrs import connected
    from kubegate.system.files import explained, write_new

    async def made(token: "BootstrapToken") -> None:
        async with connected(kubeconfig, context, os.environ) as client:
            await make(client, token)

    with errors_reported(output, "nothing was made"):
        token = _wanted(lifetime, [one.value for one in usage or tuple(Usage)], group or [], description)
        if out is not None and os.path.lexists(out):
            raise InvalidInput([Problem(f"--out {out}", "out.exists", "there is a file already", "choose another one")])
        if out is not None and not os.access(out.absolute().parent, os.W_OK | os.X_OK):
            message = "is in a folder that is not there, or that cannot be written to"
            raise InvalidInput([Problem(f"--out {out}", "out.folder", message, "choose another one")])
        asyncio.run(made(token))
        if out is not None:
            with explained(f"{out} cannot be written; delete the token: kubegate bootstrap token delete {token.id}"):
                write_new(out, token.whole.encode() + b"\n")
    if output is Output.JSON:
        show_json(_facts(token) | ({"file": str(out)} if out else {"token": token.whole}))
    else:
        show([line(str(out) if out else token.whole)])
        show([line((f"good until {token.expires:%Y-%m-%d %H:%M} UTC; it is shown this once", "dim"))], stderr=True)


def list_(kubeconfig: KubeconfigFile = None, context: ContextName = None, output: OutputAs = Output.TEXT) -> None:
    """List tokens."""
    from kubegate.runtime.bootstrap_tokens import all_tokens
    from kubegate.runtime.csrs import connected

    async def asked() -> "list[BootstrapToken]":
        async with connected(kubeconfig, context, os.environ) as client:
            return await all_tokens(client)

    with errors_reported(output):
        found = asyncio.run(asked())
    if output is Output.JSON:
        show_json({"tokens": [_facts(one) for one in found]})
    else:
        show(_listed(found))


def delete(
    ids: Annotated[list[str], typer.Argument(help="Their ids: what stands before the dot.", metavar="ID...")],
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Delete tokens."""
    from kubegate.runtime.bootstrap_tokens import remove
    from kubegate.runtime.csrs import connected

    async def removed() -> "list[BootstrapToken]":
        async with connected(kubeconfig, context, os.environ) as client:
            return await remove(client, ids)

    with errors_reported(output, "nothing was deleted"):
        gone = asyncio.run(removed())
    if output is Output.JSON:
        show_json({"deleted": [one.id for one in gone]})
    else:
        show(line((one.id, "bold"), " is deleted; certificates that it brought go on until they expire") for one in gone)


def _wanted(lifetime: str, usages: list[str], groups: list[str], description: str) -> "BootstrapToken":
    from kubegate.bootstrap.tokens import new_token, token_problems
    from kubegate.model.values import BadValue, parse_duration

    problems = token_problems(usages, groups, description)
    span = timedelta()
    try:
        parsed = parse_duration(lifetime)
        assert isinstance(parsed, timedelta)
        span = parsed
    except BadValue as error:
        problems.append(Problem("--for", "flag.for", str(error), error.hint))
    if problems:
        raise InvalidInput(problems)
    return new_token(span, usages, groups, description, datetime.now(UTC))


def _listed(found: "list[BootstrapToken]") -> Iterator[Text]:
    if not found:
        yield line("There is no bootstrap token.")
        return
    head: list[str | tuple[str, str]] = [(word, "bold") for word in ("token", "good for", "usages", "groups", "description")]
    yield from columns([head, *(_row(one) for one in found)], indent="")
    for one in found:
        for fault in one.faults:
            yield line((f"{one.id}: ", "bold yellow"), fault)


def _row(one: "BootstrapToken") -> list[str | tuple[str, str]]:
    return [
        (f"{one.id}.****", "bold"),
        _left(one),
        ", ".join(one.usages),
        ", ".join(one.groups) or "-",
        one.description or "-",
    ]


def _left(one: "BootstrapToken") -> str | tuple[str, str]:
    now = datetime.now(UTC)
    if one.expires is None:
        return "ever", "bold yellow"
    if one.expired(now):
        return "expired", "red"
    minutes = int((one.expires - now).total_seconds()) // 60
    return f"{minutes // 1440} d {minutes // 60 % 24} h" if minutes >= 1440 else f"{minutes // 60} h {minutes % 60} min"


def _facts(one: "BootstrapToken") -> dict[str, Any]:
    return {
        "id": one.id,
        "expires": one.expires.isoformat() if one.expires else None,
        "expired": one.expired(datetime.now(UTC)),
        "usages": list(one.usages),
        "groups": list(one.groups),
        "description": one.description,
        "faults": list(one.faults),
    }
