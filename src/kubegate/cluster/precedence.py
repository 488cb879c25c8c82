"""Which of a user's credentials kubectl sends, and why not the others: the rules of `login`, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubegate.cluster.credential import Credential
from kubegate.model.names import printable


@dataclass(frozen=True, slots=True)
class Choice:
    """One credential that a kubeconfig's user has: what it is, without secrets, whether kubectl uses it, and why or why not."""

    what: str
    used: bool
    why: str


def choices(credential: Credential, *, tls: bool = True) -> tuple[Choice, ...]:
    """Every credential of a user, in the order in which they count; one choice that says so if there is none.

    `credential` is as the kubeconfig has it; without `tls` none of them is sent.
    """
    found = tuple(_choices(credential))
    if not found:
        return (Choice("no credential", False, "the API server is asked as by nobody (system:anonymous)"),)
    if not tls:
        return tuple(Choice(one.what, False, "the server is reached without TLS, and no secret is sent there") for one in found)
    return found


def _choices(credential: Credential) -> Iterator[Choice]:
    bearer = bool(credential.token_file or credential.token)
    if credential.certificate is not None:
        beside = ", and the API server looks at it before any token" if bearer or credential.username else ""
        yield Choice(_only_certificate(credential), True, f"shown in the TLS handshake{beside}")
    if credential.token_file is not None:
        shown = printable(str(credential.token_file))
        if _has_content(credential.token_file) or not credential.token:
            yield Choice(f"token file {shown}", True, "a token file counts before a token, and is read again when it changes")
            if credential.token:
                yield Choice("token", False, "there is a token file, which counts before it")
        else:
            yield Choice("token", True, f"the token file {shown} is missing or empty, so the token beside it counts")
    elif credential.token:
        yield Choice("token", True, "sent as Authorization: Bearer")
    if credential.username or credential.password:
        used = not bearer
        why = "sent as Authorization: Basic, which API servers from 1.19 on refuse" if used else "a token counts before it"
        yield Choice(f"user name {printable(credential.username)} and password", used, why)
    if credential.exec_plugin is not None:
        name = printable(Path(credential.exec_plugin.command).name)
        asked = not credential.has_secret
        why = "asked for a credential, since there is none in the file" if asked else "kubectl asks no plugin beside a credential"
        yield Choice(f"exec plugin {name}", asked, why)
    if credential.auth_provider:
        used = not bearer and not credential.username
        why = "its ID token is sent" if used else "a token or password counts before it"
        yield Choice(f"auth provider {printable(credential.auth_provider)}", used, why)
    if credential.impersonation is not None:
        why = "asked for by Impersonate-User; the credential needs the right to impersonate"
        yield Choice(f"impersonation of {printable(credential.impersonation.user)}", True, why)


def _only_certificate(credential: Credential) -> str:
    return Credential(certificate=credential.certificate).describe()


def _has_content(file: Path) -> bool:
    try:
        return bool(file.read_bytes().strip())
    except OSError:
        return False
