"""`kubegate certs`: the group of the commands about certificates."""

from collections.abc import Callable

import typer

from kubegate.cli import fetch_ca

SUMMARY = "Certificates: get the CA of a cluster."
EXAMPLES = ("kubegate certs fetch-ca --out ca.crt",)


def group(examples: Callable[..., str]) -> typer.Typer:
    """The commands; `examples` makes an epilog of theirs."""
    found = typer.Typer(help=SUMMARY, no_args_is_help=True, rich_markup_mode=None, epilog=examples(*EXAMPLES))
    found.command("fetch-ca", help=fetch_ca.SUMMARY, epilog=examples(*fetch_ca.EXAMPLES))(fetch_ca.command)
    return found
