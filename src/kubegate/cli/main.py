"""The program `kubegate`: its commands, and the one place where errors become words and exit codes."""

import sys
from typing import Annotated

import typer

from kubegate import __version__
from kubegate.cli import expose

app = typer.Typer(
    name="kubegate",
    help="The gate in front of the Kubernetes API server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("expose", help=expose.SUMMARY, epilog=expose.EXAMPLES)(expose.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kubegate {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def run() -> None:
    """The entry point of the console script."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
