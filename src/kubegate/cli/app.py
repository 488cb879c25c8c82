"""The commands of `kubegate`, and what is common to all of them."""

from typing import Annotated

import typer

from kubegate import __version__
from kubegate.cli import (
    approver,
    bootstrap,
    certs,
    connection,
    csr,
    endpoints,
    expose,
    grant,
    kubeconfig,
    proxy,
    render,
    run,
    schema,
    status,
    trial,
    trust,
    version,
)
from kubegate.cli.epilog import examples

# `main` calls it without all of this; here it stands for the list of commands.
_AS_IT_IS = {"ignore_unknown_options": True, "allow_extra_args": True}


def proxy_command(context: typer.Context) -> None:
    """Run the local proxy."""
    proxy.main(context.args)


app = typer.Typer(
    name="kubegate",
    help="The gate in front of the Kubernetes API server.",
    epilog=examples("kubegate expose", "kubegate run -c kubegate.yaml", "kubegate proxy --help"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", help=run.SUMMARY, epilog=examples(*run.EXAMPLES))(run.command)
app.command("check", help=trial.CHECK, epilog=examples(*trial.CHECK_EXAMPLES))(trial.check)
app.command("status", help=status.SUMMARY, epilog=examples(*status.EXAMPLES))(status.command)
app.command("diff", help=trial.DIFF, epilog=examples(*trial.DIFF_EXAMPLES))(trial.diff)
app.command("reload", help=status.RELOAD, epilog=examples(*status.RELOAD_EXAMPLES))(status.reload)
app.command("render", help=render.SUMMARY, epilog=examples(*render.EXAMPLES))(render.command)
app.command("expose", help=expose.SUMMARY, epilog=examples(*expose.EXAMPLES))(expose.command)
app.command("proxy", help=proxy.SUMMARY, epilog=examples(*proxy.EXAMPLES), add_help_option=False, context_settings=_AS_IT_IS)(
    proxy_command
)
app.add_typer(bootstrap.app, name="bootstrap")
app.add_typer(csr.app, name="csr")
app.command("approver", help=approver.SUMMARY, epilog=examples(*approver.EXAMPLES))(approver.command)
app.add_typer(certs.app, name="certs")
app.command("grant", help=grant.SUMMARY, epilog=examples(*grant.EXAMPLES))(grant.command)
app.command("grants", help=grant.LIST, epilog=examples(*grant.LIST_EXAMPLES))(grant.list_command)
app.command("revoke", help=grant.REVOKE, epilog=examples(*grant.REVOKE_EXAMPLES))(grant.revoke_command)
app.command("trust", help=trust.SUMMARY, epilog=examples(*trust.EXAMPLES))(trust.command)
app.add_typer(kubeconfig.app, name="kubeconfig")
app.command("endpoints", help=endpoints.SUMMARY, epilog=examples(*endpoints.EXAMPLES))(endpoints.command)
app.command("whoami", help=connection.WHOAMI, epilog=examples(*connection.WHOAMI_EXAMPLES))(connection.whoami)
app.command("test-connection", help=connection.TEST, epilog=examples(*connection.TEST_EXAMPLES))(connection.test)
app.command("schema", help=schema.SUMMARY, epilog=examples(*schema.EXAMPLES))(schema.command)
app.command("version", help=version.SUMMARY, epilog=examples(*version.EXAMPLES))(version.command)


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
