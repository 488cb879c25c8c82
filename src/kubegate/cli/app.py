"""The commands of `kubegate`, and what is common to all of them."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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


# All commands on one screen: those that are used together stand together.
ROWS = (
    ("expose", "Expose the API server of a kubeconfig."),
    ("run", "Run the gate that a file declares."),
    ("check, diff, status, reload", "Look at a file first, then at what runs."),
    ("render, schema, version", "What would run, here or on another engine."),
    ("proxy", "What kubectl proxy does, without its faults."),
    ("kubeconfig", "Make, merge and take apart kubeconfigs."),
    ("grant, grants, revoke", "Limited accounts, in one command each."),
    ("whoami, test-connection", "Who you are, and where a way to it ends."),
    ("endpoints, trust", "Where its API is, and who is verified there."),
    ("certs", "Certificates made, inspected and revoked."),
    ("bootstrap, csr, approver", "Nodes: tokens, and whose names they ask for."),
)


class _Program(TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """`ROWS` instead of a line for each command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(ROWS)


app = typer.Typer(
    name="kubegate",
    cls=_Program,
    help="The gate in front of the Kubernetes API server.",
    epilog=examples("kubegate expose", "kubegate run -c kubegate.yaml"),
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
