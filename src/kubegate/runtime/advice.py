"""What to say besides the facts: notes on what may surprise, and commands to try that work as printed."""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from kubegate.model.status import Attempt, Remark
from kubegate.render.kubeconfig import ClientAccess
from kubegate.runtime.prepare import Prepared

_ANONYMOUS = "a caller without a credential: 403, the API server calls it system:anonymous"
_NAMESPACES = "the namespaces"
_WATCH = "a watch: every change as it happens (Ctrl-C ends it)"
_OWN_TOKEN = "clients bring a bearer token: --token, an exec or OIDC login, or --account NAMESPACE/NAME for a service account's"  # noqa: S105
_OWN_CREDENTIAL = "add the credential that you use today: kubectl config set-credentials, then set-context --user"


def notes(prepared: Prepared, out: Path | None) -> Iterator[Remark]:
    """What a person may not expect."""
    front = prepared.front
    if front is not None and front.newly_made and front.file is not None:
        yield Remark(
            code="certificate.new",
            message=f"a new self-signed certificate was made for {', '.join(front.certificate.names)}",
            hint=f"clients that pinned another one need this one; it is kept in {front.file.parent}",
        )
    if out is not None and prepared.declared.account is None:
        yield Remark(
            code="kubeconfig.no-user",
            message="the client kubeconfig names no user, so kubectl would ask for a user name",
            hint=_OWN_TOKEN if prepared.opened else _OWN_CREDENTIAL,
        )


def attempts(prepared: Prepared, access: ClientAccess, out: Path | None) -> Iterator[Attempt]:
    """Commands that work as printed: kubectl where it is installed, curl otherwise; no token stands on a command line."""
    ca_file = _ca_file(prepared)
    if prepared.opened:
        yield Attempt(shows=_ANONYMOUS, command=_curl(access, ca_file, "/api/v1/namespaces"))
    if shutil.which("kubectl"):
        base = _kubectl(prepared, access, ca_file, out)
        if base is not None:
            yield Attempt(shows=_NAMESPACES, command=f"{base} get namespaces")
            yield Attempt(shows=_WATCH, command=f"{base} get namespaces --watch")
    elif out is not None and access.token is not None:
        header = f'awk \'$1 == "token:" {{print "Authorization: Bearer " $2}}\' {shlex.quote(str(out))} | '
        yield Attempt(shows=_NAMESPACES, command=header + _curl(access, ca_file, "/api/v1/namespaces", "-H @-"))
        yield Attempt(shows=_WATCH, command=header + _curl(access, ca_file, "/api/v1/namespaces?watch=1", "-N -H @-"))


def _kubectl(prepared: Prepared, access: ClientAccess, ca_file: Path | None, out: Path | None) -> str | None:
    """kubectl with a credential that passes this gate: the account's, else the one of the context itself if it can."""
    if out is not None and access.token is not None:
        return f"kubectl --kubeconfig {shlex.quote(str(out))}"
    context = prepared.context
    if prepared.opened and (context.credential.uses_client_certificate or not context.user_name):
        return None
    if out is not None:
        files = ":".join(shlex.quote(str(file)) for file in (out.absolute(), *context.files))
        return f"KUBECONFIG={files} kubectl --context {shlex.quote(access.name)} --user {shlex.quote(context.user_name)}"
    if not prepared.opened:
        return None
    words = ["kubectl", "--context", context.name, "--server", access.url]
    if len(context.files) == 1:
        words[1:1] = ["--kubeconfig", str(context.files[0])]
    if ca_file is not None:
        words += ["--certificate-authority", str(ca_file)]
    if context.tls_server_name is not None:
        words += ["--tls-server-name", access.tls_server_name or access.url.split("://")[1].rsplit(":", 1)[0]]
    return shlex.join(words)


def _curl(access: ClientAccess, ca_file: Path | None, path: str, options: str = "") -> str:
    words = ["curl", "-s", *options.split()]
    if ca_file is not None:
        words += ["--cacert", str(ca_file)]
    return shlex.join([*words, f"{access.url}{path}"])


def _ca_file(prepared: Prepared) -> Path | None:
    """A file that verifies the gate, None where the system's CAs do."""
    if prepared.front is None or prepared.front.certificate.client_ca_pem is None:
        return None
    given = prepared.declared.config.cluster.front
    return given.cert if given else prepared.front.file
