"""`kubegate certs`: certificates and keys. This is the list of its commands; each is in a module beside this one."""

import typer

from kubegate.cli import certs_inspect, certs_issue, certs_renew, certs_trust
from kubegate.cli.certs_common import epilog

SUMMARY = "Certificates: make, issue, renew, revoke, inspect, trust."


def group(summary: str, *examples: str) -> typer.Typer:
    """Commands below a command."""
    return typer.Typer(
        help=summary,
        epilog=epilog(*examples) if examples else None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = group(
    SUMMARY, "kubegate certs ca init ca --name example.com", "kubegate certs issue server --ca ca --name gate.example.com"
)
ca = group("A CA of your own.")
trust = group("Which CAs this machine trusts.")

app.command("self-signed", help=certs_issue.SELF_SIGNED, epilog=epilog(*certs_issue.SELF_SIGNED_EXAMPLES))(
    certs_issue.self_signed
)
ca.command("init", help=certs_issue.CA_INIT, epilog=epilog(*certs_issue.CA_INIT_EXAMPLES))(certs_issue.ca_init)
app.add_typer(ca, name="ca")
app.command("issue", help=certs_issue.ISSUE, epilog=epilog(*certs_issue.ISSUE_EXAMPLES))(certs_issue.issue)
app.command("csr", help=certs_issue.CSR, epilog=epilog(*certs_issue.CSR_EXAMPLES))(certs_issue.csr)
app.command("renew", help=certs_renew.RENEW, epilog=epilog(*certs_renew.RENEW_EXAMPLES))(certs_renew.renew)
app.command("revoke", help=certs_renew.REVOKE, epilog=epilog(*certs_renew.REVOKE_EXAMPLES))(certs_renew.revoke)
app.command("inspect", help=certs_inspect.SUMMARY, epilog=epilog(*certs_inspect.EXAMPLES))(certs_inspect.command)
trust.command("install", help=certs_trust.INSTALL, epilog=epilog(*certs_trust.INSTALL_EXAMPLES))(certs_trust.install)
trust.command("remove", help=certs_trust.REMOVE, epilog=epilog(*certs_trust.REMOVE_EXAMPLES))(certs_trust.remove)
app.add_typer(trust, name="trust")


@ca.callback()
def _ca() -> None:
    """A CA of your own."""
