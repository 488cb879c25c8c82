"""`kubegate csr`: certificate signing requests, looked at and decided by a person who sees what would be signed."""

import asyncio
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubegate.cli.console import FAILURE, Output, columns, errors_reported, say, show, show_json
from kubegate.cli.csr_text import as_json, blind, done_line, facts, listed, row, shown
from kubegate.cli.epilog import examples, group
from kubegate.cli.options import ContextName, KubeconfigFile, OutputAs
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.bootstrap.csr import State
    from kubegate.runtime.csrs import Done, Found, Wanted

SUMMARY = "Certificate signing requests: who asks for what, whose names these are, and approve or deny them."
LIST = "List requests with what speaks against them."
SHOW = "Show one request or more in full."
APPROVE = "Approve what was shown, and nothing else."
DENY = "Deny what was shown, for good."
WATCH = "Show requests as they come and are decided, until stopped."

Names = Annotated[list[str] | None, typer.Argument(help="Names of requests.", metavar="NAME...")]
Labels = Annotated[str, typer.Option("--selector", "-l", help="Only requests with these labels.", metavar="LABELS")]
Signer = Annotated[str, typer.Option(help="Only requests for this signer.", metavar="NAME")]
Requester = Annotated[str, typer.Option(help="Only requests that this user made.", metavar="USER")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: decide all that is shown.")]
Message = Annotated[str, typer.Option(help="What the condition says to people.", metavar="TEXT")]


class Standing(StrEnum):
    """Which requests are listed by where they stand."""

    PENDING = "pending"
    APPROVED = "approved"
    ISSUED = "issued"
    DENIED = "denied"
    FAILED = "failed"


def list_(
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    selector: Labels = "",
    signer: Signer = "",
    requester: Requester = "",
    state: Annotated[list[Standing] | None, typer.Option(help="Only those that stand so. Repeatable.")] = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """List requests."""
    with errors_reported(output):
        found = asyncio.run(_look(kubeconfig, context, _wanted((), selector, signer, requester, state or ())))
    if output is Output.JSON:
        show_json(as_json(found))
    else:
        show(blind(found), stderr=True)
        show(listed(found))


def show_(names: Names, kubeconfig: KubeconfigFile = None, context: ContextName = None, output: OutputAs = Output.TEXT) -> None:
    """Show requests."""
    with errors_reported(output):
        found = asyncio.run(_look(kubeconfig, context, _wanted(names or (), "", "", "", ())))
    if output is Output.JSON:
        show_json(as_json(found))
    else:
        show(blind(found), stderr=True)
        show(shown(found))


def approve(
    names: Names = None,
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    selector: Labels = "",
    signer: Signer = "",
    requester: Requester = "",
    reason: Annotated[str, typer.Option(help="One word for the condition.", metavar="WORD")] = "KubegateApprove",
    message: Message = "approved by a person with kubegate csr approve",
    yes: Yes = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Approve requests."""
    from kubegate.bootstrap.csr import State

    wanted = _chosen(names, selector, signer, requester, output)
    _decide(kubeconfig, context, wanted, _Deciding(State.APPROVED, reason, message, yes, output))


def deny(
    names: Names = None,
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    selector: Labels = "",
    signer: Signer = "",
    requester: Requester = "",
    reason: Annotated[str, typer.Option(help="One word for the condition.", metavar="WORD")] = "KubegateDeny",
    message: Message = "denied by a person with kubegate csr deny",
    yes: Yes = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Deny requests."""
    from kubegate.bootstrap.csr import State

    wanted = _chosen(names, selector, signer, requester, output)
    _decide(kubeconfig, context, wanted, _Deciding(State.DENIED, reason, message, yes, output))


def watch(
    kubeconfig: KubeconfigFile = None,
    context: ContextName = None,
    selector: Labels = "",
    signer: Signer = "",
    requester: Requester = "",
    output: OutputAs = Output.TEXT,
) -> None:
    """Show requests as they come."""
    with errors_reported(output):
        asyncio.run(_watch(kubeconfig, context, _wanted((), selector, signer, requester, ()), output))


app = group(SUMMARY, "kubegate csr list --state pending", "kubegate csr show csr-7xk2p")
app.command("list", help=LIST, epilog=examples("kubegate csr list", "kubegate csr list --state pending --output json"))(list_)
app.command("show", help=SHOW, epilog=examples("kubegate csr show csr-7xk2p"))(show_)
app.command(
    "approve",
    help=APPROVE,
    epilog=examples("kubegate csr approve csr-7xk2p", "kubegate csr approve --signer kubernetes.io/kubelet-serving --yes"),
)(approve)
app.command("deny", help=DENY, epilog=examples("kubegate csr deny csr-7xk2p --message 'not our node'"))(deny)
app.command("watch", help=WATCH, epilog=examples("kubegate csr watch --signer kubernetes.io/kubelet-serving"))(watch)


def _wanted(names: Any, labels: str, signer: str, requester: str, states: Any) -> "Wanted":
    from kubegate.bootstrap.csr import State
    from kubegate.runtime.csrs import Wanted

    standing = [State(one.value.capitalize()) for one in states]
    return Wanted(tuple(names), labels, signer, requester, standing)


def _chosen(names: list[str] | None, selector: str, signer: str, requester: str, output: Output) -> "Wanted":
    """Those that are named, or all pending ones that fit; somebody who says nothing means none."""
    with errors_reported(output):
        if not (names or selector or signer or requester):
            hint = "name some, or choose with --signer, --requester or --selector"
            raise InvalidInput([Problem("NAME", "csr.none", "no request is chosen", hint)])
    return _wanted(names or (), selector, signer, requester, () if names else (Standing.PENDING,))


async def _look(kubeconfig: Path | None, context: str | None, wanted: "Wanted") -> "Found":
    from kubegate.runtime.csrs import connected, look

    async with connected(kubeconfig, context, os.environ) as client:
        return await look(client, wanted)


@dataclass(frozen=True, slots=True)
class _Deciding:
    """How requests are decided, and how that is told."""

    kind: "State"
    reason: str
    message: str
    yes: bool
    output: Output

    def say(self, one: "Done") -> None:
        """What became of one."""
        if self.output is Output.TEXT:
            show([done_line(one, self.kind)], stderr=bool(one.error))

    def agreed(self, count: int) -> bool:
        """Whether a person says so, if one is asked."""
        word = "Approve" if self.kind == "Approved" else "Deny"
        return self.yes or typer.confirm(f"{word} {'this request' if count == 1 else f'these {count} requests'}?", err=True)


def _decide(kubeconfig: Path | None, context: str | None, wanted: "Wanted", how: _Deciding) -> None:
    with errors_reported(how.output):
        if not how.yes and not sys.stdin.isatty():
            hint = "look with `kubegate csr show`, then say --yes"
            raise InvalidInput([Problem("--yes", "csr.unseen", "nobody is there to be asked", hint)])
        done = asyncio.run(_decided(kubeconfig, context, wanted, how))
    if how.output is Output.JSON:
        show_json({"decided": [{"name": one.name, "error": one.error, "stale": one.stale} for one in done]})
    if any(one.error for one in done):
        raise typer.Exit(FAILURE)


async def _decided(kubeconfig: Path | None, context: str | None, wanted: "Wanted", how: _Deciding) -> "list[Done]":
    """Show, ask and decide; what changed meanwhile is shown and asked about again, where somebody is there."""
    from kubegate.runtime.csrs import Wanted, connected, look, settle

    outcomes: list[Done] = []
    async with connected(kubeconfig, context, os.environ) as client:
        while True:
            found = await look(client, wanted)
            show(blind(found), stderr=True)
            if how.output is Output.TEXT:
                show(shown(found))
            if not found.reviews or not how.agreed(len(found.reviews)):
                return outcomes
            unseen = how.yes and not wanted.names
            done = await settle(client, found, how.kind, how.reason, how.message, unseen=unseen, done=how.say)
            again = [] if how.yes else [one.name for one in done if one.stale]
            outcomes += [one for one in done if one.name not in again]
            if not again:
                return outcomes
            wanted = Wanted(tuple(again))


async def _watch(kubeconfig: Path | None, context: str | None, wanted: "Wanted", output: Output) -> None:
    from kubegate.runtime.csrs import connected, followed

    async with connected(kubeconfig, context, os.environ) as client:
        async for one in followed(client, wanted, say):
            if output is Output.JSON:
                show_json(facts(one))
            else:
                show(columns([row(one)], indent=""))
