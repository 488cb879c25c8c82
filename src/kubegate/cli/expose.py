"""`kubegate expose`: flags in, facts out."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from kubegate import __version__
from kubegate.cli.console import Output, console, end, print_json, rows, say
from kubegate.errors import KubegateError
from kubegate.model.config import Mode
from kubegate.model.status import Remark, Status
from kubegate.runtime.declare import Flags
from kubegate.runtime.expose import Exposure

SUMMARY = "Expose the API server of a kubeconfig behind a verified TLS front, until stopped."
EXAMPLES = (
    "Examples:  kubegate expose   |   "
    "kubegate expose --listen 0.0.0.0:6443 --host api.example.com --out client.kubeconfig   |   "
    "kubegate expose --account dev/robot --for 1h --out robot.kubeconfig"
)


def command(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context to expose. Default: the current one.", metavar="NAME")] = None,
    listen: Annotated[str, typer.Option(help="Address and port to listen on.", metavar="ADDR:PORT")] = "127.0.0.1:6443",
    host: Annotated[
        list[str] | None, typer.Option(help="Name by which clients reach the gate. Repeatable.", metavar="NAME")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate to show (PEM). Default: self-signed.", metavar="FILE")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of --cert (PEM).", metavar="FILE")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a client kubeconfig once the gate answers.", metavar="FILE")] = None,
    account: Annotated[str | None, typer.Option(help="Put in a token of this service account.", metavar="NAMESPACE/NAME")] = None,
    lifetime: Annotated[
        str | None, typer.Option("--for", help="Lifetime of that token. Default: 1h.", metavar="DURATION")
    ] = None,
    passthrough: Annotated[bool, typer.Option("--passthrough", help="Do not open TLS: client certificates work.")] = False,
    insecure_upstream: Annotated[
        bool, typer.Option("--insecure-upstream", help="Accept an API server that is not verified. Dangerous.")
    ] = False,
    haproxy: Annotated[
        Path | None, typer.Option(help="HAProxy to run. Default: embedded, or a newer one.", metavar="FILE")
    ] = None,
    output: Annotated[Output, typer.Option(help="How facts are printed.")] = Output.TEXT,
) -> None:
    """Expose the API server of a kubeconfig."""
    flags = Flags(
        kubeconfig=kubeconfig,
        context=context,
        listen=listen,
        hosts=host or (),
        cert=cert,
        key=key,
        out=out,
        account=account,
        lifetime=lifetime,
        passthrough=passthrough,
        insecure_upstream=insecure_upstream,
        haproxy=haproxy,
    )
    try:
        asyncio.run(_expose(flags, output))
    except KubegateError as error:
        end(error, output)


async def _expose(flags: Flags, output: Output) -> None:
    exposure = await Exposure.open(flags, os.environ, say)
    assert exposure.status is not None
    if output is Output.JSON:
        print_json(exposure.status.model_dump(mode="json"))
    else:
        show(exposure.status)
    drained = await exposure.serve()
    say("stopped" if drained else "stopped; what was still open was ended")


def show(status: Status) -> None:
    """Print the facts of a gate for a person."""
    screen = console()
    screen.print(Text(f"kubegate {__version__} exposes {status.upstream.context} at {status.url}", style="bold"))
    screen.print()
    screen.print(rows(_facts(status)))
    for title, remarks, style in (
        ("Not secure about it", status.warnings, "bold yellow"),
        ("Good to know", status.notes, "bold"),
    ):
        if remarks:
            screen.print()
            screen.print(Text(title, style=style))
            for remark in remarks:
                _print_remark(remark)
    if status.attempts:
        screen.print()
        screen.print(Text("Try", style="bold"))
        for attempt in status.attempts:
            screen.print(Text(f"  # {attempt.shows}", style="dim"))
            screen.print(Text(f"  {attempt.command}"))
    screen.print()
    screen.print(Text("Running; Ctrl-C stops it.", style="dim"))


def _print_remark(remark: Remark) -> None:
    screen = console()
    screen.print(Text(f"  - {remark.message}"))
    if remark.hint:
        screen.print(Text(f"    {remark.hint}", style="dim"))


def _facts(status: Status) -> list[tuple[str, str]]:
    upstream = status.upstream
    reach = ", ".join(f"{entry.address} ({entry.interface})" for entry in status.reach)
    verified = f"verified by CA and as {upstream.verified_name}" if upstream.verified_name else "NOT VERIFIED"
    version = f", Kubernetes {upstream.version}" if upstream.version else ""
    facts = [
        ("reached on", f"{reach}, port {status.listen.rsplit(':', 1)[1]}"),
        ("API server", f"{upstream.url} ({verified}{version})"),
    ]
    if len(upstream.servers) > 1:
        facts.append(("balanced over", ", ".join(upstream.servers)))
    if status.certificate is not None:
        certificate = status.certificate
        kind = "self-signed" if certificate.self_signed else "given"
        facts += [
            ("certificate", f"{kind}, for {', '.join(certificate.names)}, until {certificate.not_after:%Y-%m-%d}"),
            ("SHA-256", certificate.sha256),
        ]
    facts.append(("to whom", _to_whom(status)))
    if status.kubeconfig is not None:
        facts.append(("kubeconfig", status.kubeconfig))
    if status.token_expires is not None:
        facts.append(("token", f"of {status.account}, granted until {status.token_expires:%Y-%m-%d %H:%M:%S %Z}"))
    facts.append(("data plane", status.haproxy))
    return facts


def _to_whom(status: Status) -> str:
    if status.mode is Mode.PASSTHROUGH:
        return "everyone who reaches it; TLS and login are the API server's own, untouched"
    return "everyone who reaches it; each caller's own bearer token decides, nothing is added"
