"""`kubegate grant`, `grants` and `revoke`: limited accounts, made, listed and taken away."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from kubegate.cli.console import FAILURE, Output, columns, errors_reported, line, rows, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.errors import KubegateError

if TYPE_CHECKING:
    from kubegate.runtime.granting import Granted
    from kubegate.runtime.revoking import Listed, Revoked

SUMMARY = "Make a limited account and a kubeconfig that uses it."
EXAMPLES = (
    "kubegate grant ci-reader --namespace dev --can 'get,list,watch pods,pods/log' --for 8h",
    "kubegate grant deployer -n dev -n stage --can 'get,list,patch deployments.apps' --server https://gate:6443 --ca gate-ca.crt",
    "kubegate grant jane --all-namespaces --can 'get,list nodes,namespaces' --certificate --for 24h",
    "kubegate grant ci-reader --namespace dev --can 'get,list pods' --print > grant.yaml",
)
LIST = "List the limited accounts, and how long each still has."
LIST_EXAMPLES = ("kubegate grants", "kubegate grants --audit-log /var/log/kubernetes/audit.log --output json")
REVOKE = "Take away all rights of a limited account, and say what remains."
REVOKE_EXAMPLES = ("kubegate revoke ci-reader", "kubegate revoke ci-reader --namespace dev --output json")

_STOPPED = "stopped; nothing of it is left"
_T = TypeVar("_T")
Kubeconfig = Annotated[
    Path | None, typer.Option(help="Kubeconfig of somebody who may do this. Default: as kubectl finds it.", metavar="FILE")
]
ContextName = Annotated[str | None, typer.Option(help="Context to use. Default: the current one.", metavar="NAME")]
Name = Annotated[str, typer.Argument(help="Name of the account.", metavar="NAME")]
Where = Annotated[
    list[str] | None, typer.Option("--namespace", "-n", help="Look here only. Repeatable. Default: everywhere.", metavar="NAME")
]


def command(
    name: Name,
    can: Annotated[
        list[str] | None, typer.Option(help="Verbs and resources, as in 'get,list pods,pods/log'. Repeatable.", metavar="'V R'")
    ] = None,
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="Where it can do that. Repeatable.", metavar="NAME")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="It can do that in the whole cluster.")] = False,
    lifetime: Annotated[
        str | None, typer.Option("--for", help="Lifetime, 10m at least. Default: 1h.", metavar="DURATION")
    ] = None,
    certificate: Annotated[
        bool,
        typer.Option("--certificate", help="A client certificate instead of a token; it cannot be revoked before it expires."),
    ] = False,
    server: Annotated[
        str | None, typer.Option(help="Gate that the account uses. Default: the kubeconfig's server.", metavar="URL")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="CA of --server (PEM). Default: the system's.", metavar="FILE")] = None,
    server_name: Annotated[
        str | None,
        typer.Option("--tls-server-name", help="Name in the certificate of --server, if it is another.", metavar="NAME"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Its kubeconfig, mode 0600. Default: NAME.kubeconfig.", metavar="FILE")] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the manifests, and make nothing.")] = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Make a limited account."""
    from kubegate.runtime import grant_flags, granting

    flags = grant_flags.GrantFlags(
        name=name,
        namespaces=namespace or (),
        everywhere=everywhere,
        can=can or (),
        lifetime=lifetime,
        certificate=certificate,
        kubeconfig=kubeconfig,
        context=context,
        server=server,
        server_name=server_name,
        ca=ca,
        out=out,
        print_only=print_only,
    )
    with errors_reported(output, "nothing was made"):
        wanted = grant_flags.read(flags, os.environ)
        if print_only:
            found, text = asyncio.run(granting.manifests(wanted, os.environ))
            if output is Output.JSON:
                show_json({"name": found.name, "manifests": text})
            else:
                typer.echo(text, nl=False)
            return
        granted = asyncio.run(_unless_stopped(granting.grant(wanted, os.environ)))
    if output is Output.JSON:
        show_json(granting.facts(granted))
    else:
        show(_granted(granted))


async def _unless_stopped(work: Coroutine[Any, Any, _T]) -> _T:
    """The result; a signal has what was made taken away before the command ends."""
    from kubegate.runtime.signals import Stop

    async with Stop() as stop:
        task = asyncio.create_task(work, name="the grant")
        asked = asyncio.create_task(stop.asked.wait(), name="wait for a signal")
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            raise KubegateError(_STOPPED) from None


def list_command(
    namespace: Where = None,
    audit_log: Annotated[
        list[Path] | None,
        typer.Option(help="Audit log of an API server, which alone knows of last uses. Repeatable.", metavar="FILE"),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """List the limited accounts."""
    from kubegate.runtime import revoking

    where = revoking.Where(kubeconfig, context, namespace or ())
    with errors_reported(output):
        found = asyncio.run(revoking.grants(where, audit_log or (), os.environ))
    if output is Output.JSON:
        show_json({"grants": [revoking.listed_facts(one) for one in found]})
    else:
        show(_list(found, audited=bool(audit_log)))


def revoke_command(
    name: Name,
    namespace: Where = None,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    output: OutputAs = Output.TEXT,
) -> None:
    """Take away all rights of a limited account."""
    from kubegate.runtime import revoking

    with errors_reported(output):
        found = asyncio.run(revoking.revoke(name, revoking.Where(kubeconfig, context, namespace or ()), os.environ))
    if output is Output.JSON:
        show_json(revoking.revoked_facts(found))
    else:
        show(_revoked(found))
    if found.foreign:
        raise typer.Exit(FAILURE)


def _granted(granted: "Granted") -> Iterator[Text]:
    from kubegate.model.rules_review import withheld

    grant = granted.grant
    yield line((f"Granted {grant.name}", "bold green"), f", until {granted.expires:%Y-%m-%d %H:%M:%S} UTC")
    yield from rows(
        [
            ("user", grant.user),
            ("logs in by", f"a {grant.kind}"),
            ("server", granted.access.url),
            ("kubeconfig", f"{granted.file} (context {granted.access.name}, readable by you alone)"),
        ]
    )
    yield line()
    yield line(("Can, as the API server told the account itself", "bold"))
    where = "in the whole cluster" if grant.everywhere else f"in {', '.join(grant.namespaces)}"
    yield from (line(f"  - {where}: {rule.shown}") for rule in grant.rules)
    besides = list(dict.fromkeys(one for review in granted.reviews for one in review.besides(grant.rules)))
    if besides:
        yield line(("Can besides, as everybody who is logged in, or because others gave it", "bold"))
        yield from (line((f"  - {one}", "dim")) for one in besides)
    yield line(("Cannot", "bold"))
    for review in granted.reviews:
        place = "anywhere" if grant.everywhere else f"in {review.namespace}"
        yield line(f"  - {place}: {', '.join(withheld(review)) or 'nothing of what people worry about'}")
    if granted.elsewhere is not None:
        held = [rule.shown for rule in grant.rules if granted.elsewhere.allows(rule)]
        yield line(f"  - in {granted.elsewhere.namespace}: {'all but ' + '; '.join(held) if held else 'any of that'}")
    if granted.warnings:
        yield line(("More than it says", "bold yellow"))
        yield from (line(f"  - {one}") for one in granted.warnings)
    yield from (line(("note: ", "yellow"), one) for one in granted.remarks)
    yield line()
    yield line((f"kubectl --kubeconfig {granted.file} auth can-i --list", "dim"))
    yield line((f"kubegate revoke {grant.name}", "dim"))


def _list(found: "list[Listed]", *, audited: bool) -> Iterator[Text]:
    if not found:
        yield line("There are no grants.")
        return
    table: list[tuple[str | tuple[str, str], ...]] = [
        tuple((head, "bold") for head in ("NAME", "BY", "WHERE", "LEFT", "LAST USE", "CAN"))
    ]
    for one in found:
        where = "everywhere" if one.everywhere else ",".join(sorted(one.namespaces)) or "nowhere"
        use = f"{one.last_use:%Y-%m-%d %H:%M}" if one.last_use else "not in the log" if audited else "not known"
        table.append(
            ((one.name, "bold"), str(one.kind), where, _left(one.expires), use, one.can or "nothing: no binding is left")
        )
    yield from columns(table, indent="")
    if any(one.expires and one.expires < datetime.now(UTC) for one in found):
        yield line(("note: ", "yellow"), "an expired account keeps its rights for new tokens until it is revoked")
    if not audited:
        yield line(("last uses stand in the API server's audit log only: --audit-log FILE", "dim"))


def _left(expires: datetime | None) -> str | tuple[str, str]:
    if expires is None:
        return "not known"
    minutes = int((expires - datetime.now(UTC)).total_seconds() // 60)
    if minutes < 0:
        return "expired", "yellow"
    hours, rest = divmod(minutes, 60)
    return f"{hours // 24}d{hours % 24}h" if hours >= 48 else f"{hours}h{rest:02d}m"


def _revoked(found: "Revoked") -> Iterator[Text]:
    yield line((f"Revoked {found.name}", "bold green" if not found.foreign else "bold yellow"))
    yield from (line(f"  - deleted {ref}") for ref in found.removed)
    if found.foreign:
        yield line(("Others gave the same account rights, and those are theirs to take away", "bold red"))
        yield line(f"  {found.foreign_means}")
        for ref in found.foreign:
            yield line(f"  - {ref}")
            yield line((f"    kubectl edit {ref.kubectl}", "dim"))
    yield line(("What remains", "bold"))
    yield from (line(f"  - {one}") for one in (*found.remains, *found.unknown))
