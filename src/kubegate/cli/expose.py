"""`kubegate expose`: flags in, facts out."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate import __version__
from kubegate.cli.console import NOTHING_STARTED, Output, errors_reported, line, rows, say, show, show_json

if TYPE_CHECKING:
    from kubegate.model.status import Remark, Status
    from kubegate.runtime.declare import Flags

SUMMARY = "Expose the API server of a kubeconfig, until stopped."
EXAMPLES = (
    "kubegate expose",
    "kubegate expose --context dev --out client.kubeconfig --account dev/robot --for 1h",
    "kubegate expose --listen 0.0.0.0:6443 --host api.example.com --cert tls.crt --key tls.key",
    "kubegate expose --passthrough --out client.kubeconfig",
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
        bool, typer.Option("--insecure-upstream", help="Accept an unverified API server. Dangerous.")
    ] = False,
    haproxy: Annotated[
        Path | None, typer.Option(help="HAProxy to run. Default: embedded, or a newer one.", metavar="FILE")
    ] = None,
    output: Annotated[Output, typer.Option(help="How facts are printed.")] = Output.TEXT,
) -> None:
    """Expose the API server of a kubeconfig."""
    from kubegate.runtime.declare import Flags

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
    with errors_reported(output, NOTHING_STARTED):
        asyncio.run(_expose(flags, output))


async def _expose(flags: "Flags", output: Output) -> None:
    from kubegate.runtime.expose import Exposure
    from kubegate.runtime.signals import Stop

    async with Stop() as stop:
        exposure = await stop.unless_asked(Exposure.open(flags, os.environ, say))
        if exposure is None:
            say("stopped before the gate was open")
            return
        async with exposure:
            if output is Output.JSON:
                show_json(exposure.status.model_dump(mode="json"))
            else:
                show(_text(exposure.status))
            drained = await exposure.serve(stop)
        say("stopped" if drained else "stopped; what was still open was ended")


def _text(status: "Status") -> Iterator[Text]:
    """The facts of a gate for a person."""
    yield line((f"kubegate {__version__} exposes {status.upstream.context} at {status.url}", "bold"))
    yield line()
    yield from rows(_facts(status))
    yield from _remarks("Not secure about it", "bold yellow", status.warnings)
    yield from _remarks("Good to know", "bold", status.notes)
    if status.attempts:
        yield line()
        yield line(("Try", "bold"))
        for attempt in status.attempts:
            yield line((f"  # {attempt.shows}", "dim"))
            yield line(f"  {attempt.command}")
    yield line()
    yield line(("Running; Ctrl-C stops it.", "dim"))


def _remarks(title: str, style: str, remarks: "tuple[Remark, ...]") -> Iterator[Text]:
    if remarks:
        yield line()
        yield line((title, style))
    for remark in remarks:
        yield line(f"  - {remark.message}")
        if remark.hint:
            yield line((f"    {remark.hint}", "dim"))


def _facts(status: "Status") -> list[tuple[str, str]]:
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


def _to_whom(status: "Status") -> str:
    if status.mode == "passthrough":
        return "everyone who reaches it; TLS and login are the API server's own, untouched"
    return "everyone who reaches it; each caller's own bearer token decides, nothing is added"
