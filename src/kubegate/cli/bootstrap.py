"""`kubegate bootstrap`: what a node needs for its first contact with a cluster."""

from kubegate.cli import bootstrap_token, token_file
from kubegate.cli.epilog import examples, group

SUMMARY = "Tokens and files for the TLS bootstrap of nodes."

app = group(SUMMARY, "kubegate bootstrap token create --for 1h", "kubegate bootstrap token-file list tokens.csv")
_token_file = group("Static tokens: files of kube-apiserver --token-auth-file. Outside of tests, bootstrap tokens are better.")
_token_file.command("list", help=token_file.LIST, epilog=examples(*token_file.LIST_EXAMPLES))(token_file.list_)
_token_file.command("add", help=token_file.ADD, epilog=examples(*token_file.ADD_EXAMPLES))(token_file.add)
_token_file.command("remove", help=token_file.REMOVE, epilog=examples(*token_file.REMOVE_EXAMPLES))(token_file.remove)
app.add_typer(_token_file, name="token-file")
_token = group("Bootstrap tokens: Secrets that expire.")
_token.command("create", help=bootstrap_token.CREATE, epilog=examples(*bootstrap_token.CREATE_EXAMPLES))(bootstrap_token.create)
_token.command("list", help=bootstrap_token.LIST, epilog=examples(*bootstrap_token.LIST_EXAMPLES))(bootstrap_token.list_)
_token.command("delete", help=bootstrap_token.DELETE, epilog=examples(*bootstrap_token.DELETE_EXAMPLES))(bootstrap_token.delete)
app.add_typer(_token, name="token")
