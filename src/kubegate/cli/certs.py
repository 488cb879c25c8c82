"""`kubegate certs`: certificates and keys. This is the list of its commands; each is in a module beside this one."""

from kubegate.cli import certs_inspect, certs_issue, certs_renew, certs_trust, fetch_ca
from kubegate.cli.epilog import examples, group

SUMMARY = "Certificates: make, issue, renew, revoke, fetch, inspect, trust."


app = group(
    SUMMARY, "kubegate certs ca init ca --name example.com", "kubegate certs issue server --ca ca --name gate.example.com"
)
ca = group("A CA of your own.")
trust = group("Which CAs this machine trusts.")

app.command("self-signed", help=certs_issue.SELF_SIGNED, epilog=examples(*certs_issue.SELF_SIGNED_EXAMPLES))(
    certs_issue.self_signed
)
ca.command("init", help=certs_issue.CA_INIT, epilog=examples(*certs_issue.CA_INIT_EXAMPLES))(certs_issue.ca_init)
app.add_typer(ca, name="ca")
app.command("issue", help=certs_issue.ISSUE, epilog=examples(*certs_issue.ISSUE_EXAMPLES))(certs_issue.issue)
app.command("csr", help=certs_issue.CSR, epilog=examples(*certs_issue.CSR_EXAMPLES))(certs_issue.csr)
app.command("renew", help=certs_renew.RENEW, epilog=examples(*certs_renew.RENEW_EXAMPLES))(certs_renew.renew)
app.command("revoke", help=certs_renew.REVOKE, epilog=examples(*certs_renew.REVOKE_EXAMPLES))(certs_renew.revoke)
app.command("fetch-ca", help=fetch_ca.SUMMARY, epilog=examples(*fetch_ca.EXAMPLES))(fetch_ca.command)
app.command("inspect", help=certs_inspect.SUMMARY, epilog=examples(*certs_inspect.EXAMPLES))(certs_inspect.command)
trust.command("install", help=certs_trust.INSTALL, epilog=examples(*certs_trust.INSTALL_EXAMPLES))(certs_trust.install)
trust.command("remove", help=certs_trust.REMOVE, epilog=examples(*certs_trust.REMOVE_EXAMPLES))(certs_trust.remove)
app.add_typer(trust, name="trust")


@ca.callback()
def _ca() -> None:
    """A CA of your own."""
