"""`kubegate certs fetch-ca`: a cluster's CA, shown, confirmed, written."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kubegate.cli.console import Output, errors_reported, line, rows, show, show_json
from kubegate.cli.options import OutputAs
from kubegate.runtime.ca_flags import Source

if TYPE_CHECKING:
    from kubegate.pki.certificate import Certificate
    from kubegate.runtime.ca_sources import Found
    from kubegate.runtime.fetch_ca import Confirmed

SUMMARY = "Get a cluster's CA, and trust it only once its fingerprint is confirmed."
EXAMPLES = (
    "kubegate certs fetch-ca --out ca.crt",
    "kubegate certs fetch-ca --from configmap --context prod --out ca.crt",
    "kubegate certs fetch-ca --from cluster-info --server 203.0.113.7:6443 --token-file token --pin sha256:HEX --out ca.crt",
    "kubegate certs fetch-ca --from handshake --server gate.example.com:6443 --out gate-ca.crt",
)


def command(
    source: Annotated[
        Source | None,
        typer.Option("--from", help="Where to take it from. Default: the kubeconfig, or the handshake of --server."),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig to read. Default: as kubectl finds it.", metavar="FILE")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context to use. Default: the current one.", metavar="NAME")] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Where kube-root-ca.crt is read. Default: the context's.", metavar="NAME"),
    ] = None,
    server: Annotated[str | None, typer.Option(help="Server to ask instead of the kubeconfig's.", metavar="HOST:PORT")] = None,
    server_name: Annotated[
        str | None,
        typer.Option("--tls-server-name", help="Name in the certificate of --server, if it is another.", metavar="NAME"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the bootstrap token that signed cluster-info. Or: $KUBEGATE_BOOTSTRAP_TOKEN.", metavar="FILE"
        ),
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            help="Its public key, as for `kubeadm join --discovery-token-ca-cert-hash`. Repeatable.", metavar="sha256:HEX"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file. Default: print it.", metavar="FILE")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    output: OutputAs = Output.TEXT,
) -> None:
    """Get a cluster's CA."""
    from kubegate.runtime.ca_flags import Flags
    from kubegate.runtime.fetch_ca import facts, run

    flags = Flags(
        source=source,
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        server=server,
        server_name=server_name,
        token_file=token_file,
        pins=pin or (),
        out=out,
        force=force,
    )
    with errors_reported(output, "nothing was written"):
        decided = run(flags, _ask if output is Output.TEXT and sys.stdin is not None and sys.stdin.isatty() else None, os.environ)
    if output is Output.JSON:
        show_json(facts(decided, out))
        return
    show(_text(decided, out))
    if out is None:
        typer.echo(decided.pem.decode(), nl=False)


def _ask(found: "Found") -> bool:
    show(_described(found, found.authorities), stderr=True)
    return typer.confirm("Is this what the cluster's operator says it is?", err=True)


def _text(decided: "Confirmed", out: Path | None) -> Iterator[Text]:
    yield from _described(decided.found, decided.authorities)
    for one in decided.left_out:
        yield line(("left out: ", "yellow"), f"{one.subject}, which is not pinned")
    proven = f"; {decided.proven}" if decided.proven else ""
    yield line((f"Confirmed: {decided.how}{proven}.", "bold green"))
    if out is not None:
        yield line(f"Written to {out}.")


def _described(found: "Found", authorities: "tuple[Certificate, ...]") -> Iterator[Text]:
    from kubegate.pki.pin import pin_of

    yield line((f"CA from {found.origin}", "bold"))
    for one in authorities:
        yield line()
        yield from rows(
            [
                ("subject", one.subject),
                ("issuer", "itself" if one.self_signed else one.issuer),
                ("until", f"{one.not_after:%Y-%m-%d %H:%M} UTC"),
                ("pin", pin_of(one)),
                ("SHA-256", one.sha256),
            ]
        )
    yield line()
    for remark in found.remarks:
        yield line(f"  - {remark}")
