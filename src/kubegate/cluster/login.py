"""From a declared credential to what is put on the wire: files are read, plugins run. The precedence is kubectl's."""

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential, ExecPlugin, Impersonation, Pem
from kubegate.cluster.exec_plugin import PluginAnswer, run_plugin
from kubegate.cluster.files import read_file
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    from kubegate.cluster.oidc import Renewed

_PROVIDER = "oidc"
_TOKEN = re.compile(r"[\x21-\x7e]+")
# RFC 9110, section 5.6.2: what client-go leaves as it is in the name of an Impersonate-Extra- header.
_TOKEN_CHARS = "!#$&'*+-.^_`|~"  # noqa: S105 - characters of a header's name


@dataclass(frozen=True, slots=True)
class Login:
    """What a request carries. `authorization` is the header's value, `certificate_pem` and `key_pem` the pair shown in TLS.

    `impersonation` are header names and values; `expires` is when what a plugin or a provider gave ends.
    `renewed` are settings of an auth provider that are known here only, and `warnings` what to tell about it all.
    """

    authorization: str = field(default="", repr=False)
    certificate_pem: bytes = field(default=b"", repr=False)
    key_pem: bytes = field(default=b"", repr=False)
    impersonation: tuple[tuple[str, str], ...] = ()
    expires: datetime | None = None
    renewed: "Renewed | None" = field(default=None, repr=False)
    warnings: tuple[Problem, ...] = ()


async def log_in(
    context: Context,
    environ: Mapping[str, str] = os.environ,
    timeout: float = 180.0,  # noqa: ASYNC109 - the caller's limit on a plugin, in seconds
    *,
    terminal: bool | None = None,
    earlier: Login | None = None,
    renew: bool = False,
) -> Login:
    """Make the context's credential ready to use.

    A token file wins over a token, either over a password; a client certificate is shown in addition; a plugin is asked
    only if none of these is there, and an auth provider if there is no token and no password. `terminal` says whether a
    plugin may ask a person (None: if standard input is a terminal). `earlier` is the login before this one; `renew` says
    that it is not accepted any more. Raises InvalidInput with everything that is wrong with it, PluginFailed or
    ProviderFailed.
    """
    credential = context.credential
    if credential.exec_plugin and not credential.has_secret:
        return await _by_plugin(credential.exec_plugin, context, environ, timeout, terminal)
    problems: list[Problem] = []
    provider = _provider(credential, problems)
    authorization = _authorization(credential, problems)
    certificate, key = _declared_pair(credential, problems)
    if problems:
        raise InvalidInput(problems)
    login = Login(authorization, certificate, key, impersonation_headers(credential.impersonation))
    return login if authorization or not provider else await _by_provider(login, context, environ, earlier, renew)


async def _by_plugin(
    plugin: ExecPlugin,
    context: Context,
    environ: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109
    terminal: bool | None,
) -> Login:
    answer = await run_plugin(plugin, context, environ, timeout, terminal)
    problems: list[Problem] = []
    authorization = _bearer(answer.token, plugin.where, problems) if answer.token else ""
    if answer.certificate_pem:
        problems += pair_problems(answer.certificate_pem, answer.key_pem, plugin.where, plugin.where)
    if problems:
        raise InvalidInput(problems)
    headers = impersonation_headers(context.credential.impersonation)
    return Login(authorization, answer.certificate_pem, answer.key_pem, headers, _end(answer))


def _end(answer: PluginAnswer) -> datetime | None:
    """When what a plugin gave ends: when it says so, or its certificate does; a certificate that ends brings no 401."""
    ends = [answer.expires] if answer.expires else []
    if answer.certificate_pem:
        ends.append(x509.load_pem_x509_certificate(answer.certificate_pem).not_valid_after_utc)
    return min(ends, default=None)


async def _by_provider(login: Login, context: Context, environ: Mapping[str, str], earlier: Login | None, renew: bool) -> Login:
    # Only who has this provider waits for it to be loaded.
    from kubegate.cluster.oidc import id_token

    credential = context.credential
    remembered = earlier.renewed if earlier else None
    found = await id_token(credential, context.user_name, environ, remembered, renew=renew)
    problems: list[Problem] = []
    authorization = _bearer(found.token, f"{credential.where}.auth-provider.config.id-token", problems)
    if problems:
        raise InvalidInput(problems)
    return replace(login, authorization=authorization, expires=found.expires, renewed=found.renewed, warnings=found.warnings)


def impersonation_headers(impersonation: Impersonation | None) -> tuple[tuple[str, str], ...]:
    """The `Impersonate-*` headers; keys of extra fields are escaped as the API server undoes it."""
    if impersonation is None:
        return ()
    headers = [("Impersonate-User", impersonation.user)]
    if impersonation.uid:
        headers.append(("Impersonate-Uid", impersonation.uid))
    headers += [("Impersonate-Group", group) for group in impersonation.groups]
    for key, values in impersonation.extra:
        headers += [(f"Impersonate-Extra-{quote(key, safe=_TOKEN_CHARS)}", value) for value in values]
    return tuple(headers)


def pair_problems(certificate_pem: bytes, key_pem: bytes, where: str, key_where: str) -> list[Problem]:
    """What keeps a client certificate (leaf first) and its key from being used together."""
    problems = []
    public = None
    try:
        leaf = x509.load_pem_x509_certificate(certificate_pem)
        public = leaf.public_key()
        if leaf.not_valid_after_utc < datetime.now(UTC):
            message = f"the client certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            problems.append(_problem(where, "expired", message, "log in again, or have it renewed"))
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        problems.append(_problem(where, "certificate", "is not a client certificate in PEM form"))
    try:
        key = load_pem_private_key(key_pem, password=None)
        if public is not None and key.public_key() != public:
            problems.append(_problem(key_where, "mismatch", "the key does not belong to the client certificate"))
    except TypeError:
        problems.append(_problem(key_where, "encrypted", "the private key is encrypted", "kubectl cannot use it either"))
    except (ValueError, UnsupportedAlgorithm):
        problems.append(_problem(key_where, "key", "is not a private key in PEM form"))
    return problems


def _authorization(credential: Credential, problems: list[Problem]) -> str:
    if credential.token_file is not None:
        return _from_file(credential, problems)
    if credential.token:
        return _bearer(credential.token, credential.token_where or f"{credential.where}.token", problems)
    if credential.username or credential.password:
        if ":" in credential.username:
            message = "has a colon, which Basic authentication (RFC 7617) cannot send"
            problems.append(_problem(f"{credential.where}.username", "username", message))
        pair = f"{credential.username}:{credential.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    return ""


def _from_file(credential: Credential, problems: list[Problem]) -> str:
    """The token in the file; where that is missing or empty, the token beside it (client-go keeps that one then)."""
    where = f"{credential.where}.tokenFile"
    try:
        content = read_file(credential.token_file, where, "credential.unreadable") if credential.token_file else b""
    except InvalidInput as error:
        if not credential.token:
            problems.extend(error.problems)
            return ""
        content = b""
    token = content.decode("utf-8", "replace").strip() or credential.token
    if not token:
        problems.append(_problem(where, "empty", f"{printable(str(credential.token_file))} is empty"))
        return ""
    return _bearer(token, where, problems)


def _bearer(token: str, where: str, problems: list[Problem]) -> str:
    if not _TOKEN.fullmatch(token):
        problems.append(_problem(where, "token", "has spaces or characters that no token has"))
    return f"Bearer {token}"


def _declared_pair(credential: Credential, problems: list[Problem]) -> tuple[bytes, bytes]:
    if credential.certificate is None or credential.key is None:
        return b"", b""
    certificate, key = (_content(pem, problems) for pem in (credential.certificate, credential.key))
    if certificate is None or key is None:
        return b"", b""
    problems += pair_problems(certificate, key, credential.certificate.where, credential.key.where)
    return certificate, key


def _content(pem: Pem, problems: list[Problem]) -> bytes | None:
    try:
        return pem.read()
    except InvalidInput as error:
        problems.extend(error.problems)
        return None


def _provider(credential: Credential, problems: list[Problem]) -> str:
    """The auth provider, if there is one; any but `oidc` is a problem, as for kubectl."""
    name = credential.auth_provider
    if name and name != _PROVIDER:
        known = {"gcp": "gke-gcloud-auth-plugin", "azure": "kubelogin"}
        message = f"auth provider {printable(name)} is not supported"
        hint = f"use the exec plugin {known[name]} instead" if name in known else "use an exec plugin instead"
        problems.append(_problem(f"{credential.where}.auth-provider", "auth-provider", message, hint))
    return name


def _problem(where: str, code: str, message: str, hint: str = "") -> Problem:
    return Problem(where, f"credential.{code}", message, hint)
