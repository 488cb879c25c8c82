"""What to say besides the facts: notes on what may surprise, and commands to try that work as printed on this machine."""

import shlex
import shutil
from collections.abc import Iterator

from kubegate.model.address import Endpoint, is_address
from kubegate.model.status import Attempt, Remark
from kubegate.pki.system import system_ca_file
from kubegate.render.kubeconfig import ClientAccess
from kubegate.runtime.listening import dial_host
from kubegate.runtime.prepare import Prepared

_ANONYMOUS = "a caller without a credential: 403, the API server calls it system:anonymous"
_NAMESPACES = "the namespaces"
_WATCH = "a watch: every change as it happens (Ctrl-C ends it)"
_OWN_TOKEN = "clients bring a bearer token: --token, an exec or OIDC login, or --account NAMESPACE/NAME for a service account's"  # noqa: S105
_OWN_CREDENTIAL = "add the credential that you use today: kubectl config set-credentials, then set-context --user"

# From a client kubeconfig into a pipe, so that no token stands in a process list.
_BEARER_OF = """awk '$1 == "token:" {gsub(/"/, "", $2); print "Authorization: Bearer " $2}'"""


def notes(prepared: Prepared) -> Iterator[Remark]:
    """What a person may not expect."""
    front = prepared.front
    if front is not None and front.newly_made and front.file is not None:
        yield Remark(
            code="certificate.new",
            message=f"a new self-signed certificate was made for {', '.join(front.certificate.names)}",
            hint=f"clients that pinned another one need this one; it is kept in {front.file.parent}",
        )
    if prepared.out is not None and prepared.declared.account is None:
        yield Remark(
            code="kubeconfig.no-user",
            message="the client kubeconfig names no user, so kubectl would ask for a user name",
            hint=_OWN_TOKEN if prepared.opened else _OWN_CREDENTIAL,
        )


def attempts(prepared: Prepared, access: ClientAccess) -> Iterator[Attempt]:
    """Commands that work as printed: kubectl where it is installed, curl otherwise; no token stands on a command line."""
    if prepared.opened:
        yield from _attempt(_ANONYMOUS, _curl(prepared, access, "/api/v1/namespaces"))
    if shutil.which("kubectl"):
        base = _kubectl(prepared, access)
        if base is not None:
            yield from _attempt(_NAMESPACES, f"{base} get namespaces")
            yield from _attempt(_WATCH, f"{base} get namespaces --watch")
    elif prepared.out is not None and access.token is not None and prepared.opened:
        header = f"{_BEARER_OF} {shlex.quote(str(prepared.out))} | "
        yield from _attempt(_NAMESPACES, header + _curl(prepared, access, "/api/v1/namespaces", "-H", "@-"))
        yield from _attempt(_WATCH, header + _curl(prepared, access, "/api/v1/namespaces?watch=1", "-N", "-H", "@-"))


def _attempt(shows: str, command: str) -> Iterator[Attempt]:
    # Names that a terminal would not show as they are cannot be copied from it.
    if command.isprintable():
        yield Attempt(shows=shows, command=command)


def _kubectl(prepared: Prepared, access: ClientAccess) -> str | None:
    """kubectl with a credential that passes this gate: the account's, else the one of the context itself if it can."""
    context, out = prepared.context, prepared.out
    if out is not None and access.token is not None:
        return shlex.join(["kubectl", "--kubeconfig", str(out), *_on_this_machine(prepared, access)])
    if not context.user_name or (prepared.opened and context.credential.uses_client_certificate):
        return None
    if out is not None:
        files = ":".join(shlex.quote(str(file)) for file in (out.absolute(), *context.files))
        words = ["kubectl", "--context", access.name, "--user", context.user_name, *_on_this_machine(prepared, access)]
        return f"KUBECONFIG={files} {shlex.join(words)}"
    if prepared.front is None:
        return None
    words = ["kubectl", "--context", context.name]
    if len(context.files) == 1:
        words[1:1] = ["--kubeconfig", str(context.files[0])]
    # The context's own CA, if it has one, would still count.
    if authority := prepared.front.file or system_ca_file():
        words += ["--certificate-authority", str(authority)]
    host = prepared.client_host
    # So would its tls-server-name.
    name = access.tls_server_name or (host if context.tls_server_name else None)
    return shlex.join([*words, *(_on_this_machine(prepared, access, name) or ["--server", access.url])])


def _on_this_machine(prepared: Prepared, access: ClientAccess, name: str | None = None) -> list[str]:
    """Flags for kubectl where the name that clients use need not lead here from this machine; empty where the URL does."""
    host = prepared.client_host
    if is_address(host) or host == "localhost":
        return [] if name is None else ["--server", access.url, "--tls-server-name", name]
    local = Endpoint(dial_host(prepared.listen), prepared.listen.port)
    return ["--server", f"https://{local}", "--tls-server-name", access.tls_server_name or host]


def _curl(prepared: Prepared, access: ClientAccess, path: str, *options: str) -> str:
    words: list[str] = ["curl", "-s", *options]
    if prepared.front is not None and prepared.front.file is not None:
        words += ["--cacert", str(prepared.front.file)]
    host, port = access.tls_server_name or prepared.client_host, prepared.listen.port
    if not is_address(host) or host != prepared.client_host:
        words += ["--connect-to", f"::{Endpoint(dial_host(prepared.listen), port)}"]
    return shlex.join([*words, f"https://{Endpoint(host, port)}{path}"])
