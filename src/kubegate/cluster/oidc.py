"""The auth provider `oidc` of kubeconfigs: an ID token, renewed by a refresh token (OpenID Connect Core 1.0, section 12).

As client-go's plugin does it: the token endpoint by discovery, the grant `refresh_token`, the new tokens kept in the
kubeconfig. Where they cannot be kept there, they stay in memory and a warning says so.
"""

import asyncio
import base64
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from kubegate.cluster.boundary import FOREIGN, translate
from kubegate.cluster.credential import Credential
from kubegate.cluster.environ_proxy import proxy_for
from kubegate.cluster.errors import ProviderFailed
from kubegate.cluster.files import read_file
from kubegate.cluster.kept_settings import NotKept, keep_settings
from kubegate.cluster.tls import verifying_context
from kubegate.model.address import is_address
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

if TYPE_CHECKING:
    import httpx

Settings = tuple[tuple[str, str], ...]
_NEEDED = ("idp-issuer-url", "client-id")
# As client-go: clocks differ, and a request takes its time.
_EARLY = timedelta(seconds=10)
_MOST_BYTES = 1 << 20
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Renewed:
    """Settings that took the place of `declared` ones and could not be written to where those stand."""

    declared: Settings = field(repr=False)
    settings: Settings = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token and when it ends; `renewed` are settings to be remembered, `warnings` say why they have to be."""

    token: str = field(repr=False)
    expires: datetime
    renewed: Renewed | None = None
    warnings: tuple[Problem, ...] = ()


async def id_token(
    credential: Credential,
    user_name: str,
    environ: Mapping[str, str],
    remembered: Renewed | None = None,
    *,
    renew: bool = False,
    timeout: float = 30.0,  # noqa: ASYNC109 - the caller's limit on each conversation, in seconds
) -> IdToken:
    """The ID token of a user, renewed if it ends within ten seconds, or if `renew` says that it is not accepted any more.

    `remembered` counts as long as the kubeconfig says what it said when that was renewed. Raises InvalidInput, or
    ProviderFailed if there is no new token.
    """
    declared = credential.provider_settings
    renewed = remembered if remembered is not None and remembered.declared == declared else None
    settings = dict(renewed.settings if renewed else declared)
    where = f"{credential.where}.auth-provider.config"
    if missing := [key for key in _NEEDED if not settings.get(key)]:
        raise InvalidInput([_problem(f"{where}.{key}", "is missing") for key in missing])
    token = settings.get("id-token", "")
    expires = _expiry(token, f"{where}.id-token") if token else None
    can_renew = bool(settings.get("refresh-token"))
    if token and expires and datetime.now(UTC) + _EARLY < expires and not (renew and can_renew):
        return IdToken(token, expires, renewed)
    if not can_renew:
        message = "has expired, and there is no refresh-token" if token else "is missing, and so is refresh-token"
        raise InvalidInput([_problem(f"{where}.id-token", message, "log in again")])
    changes = await _renewed(settings, where, environ, timeout)
    expires = _expiry(changes["id-token"], "the new ID token")
    try:
        await asyncio.to_thread(keep_settings, credential.file, user_name, settings, changes)
    except NotKept as error:
        message = f"the new tokens are kept in memory only, and are lost when this ends: {error.message}"
        warning = Problem(where, "credential.oidc.memory", message, error.hint)
        after = tuple((settings | changes).items())
        return IdToken(changes["id-token"], expires, Renewed(declared, after), (warning,))
    return IdToken(changes["id-token"], expires)


async def _renewed(settings: Mapping[str, str], where: str, environ: Mapping[str, str], timeout: float) -> dict[str, str]:  # noqa: ASYNC109
    # Only who has this provider waits for it to be loaded.
    import httpx

    issuer = settings["idp-issuer-url"]
    _host(issuer)
    proxy = proxy_for(issuer, environ)
    async with httpx.AsyncClient(verify=_trust(settings, where), proxy=proxy, trust_env=False, timeout=timeout) as client:
        metadata = await _ask(client, "GET", f"{issuer.removesuffix('/')}/.well-known/openid-configuration")
        endpoint = _text(metadata, "token_endpoint")
        if not endpoint:
            raise ProviderFailed(f"{_host(issuer)} names no token_endpoint in its discovery document")
        form = {"grant_type": "refresh_token", "refresh_token": settings["refresh-token"]}
        answer = await _granted(client, endpoint, form, settings["client-id"], settings.get("client-secret", ""))
    token = _text(answer, "id_token")
    if not token:
        message = f"{_host(endpoint)} gave no id_token for the refresh token"
        raise ProviderFailed(message, "log in again with the scope openid, or use another provider")
    return {"id-token": token, "refresh-token": _text(answer, "refresh_token") or settings["refresh-token"]}


async def _granted(
    client: "httpx.AsyncClient", endpoint: str, form: dict[str, str], identity: str, secret: str
) -> Mapping[str, object]:
    """As golang.org/x/oauth2: the client proves itself in a header, and where that is refused in the form (RFC 6749, 2.3.1)."""
    if secret:
        pair = base64.b64encode(f"{quote(identity, safe='')}:{quote(secret, safe='')}".encode()).decode()
        try:
            return await _ask(client, "POST", endpoint, form, {"Authorization": f"Basic {pair}"})
        except ProviderFailed as error:
            if not error.answered:
                raise
    return await _ask(client, "POST", endpoint, form | {"client_id": identity} | ({"client_secret": secret} if secret else {}))


async def _ask(
    client: "httpx.AsyncClient", method: str, url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> Mapping[str, object]:
    target = _host(url)
    try:
        async with client.stream(method, url, data=form, headers=headers, follow_redirects=method == "GET") as response:
            content = b""
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    raise ProviderFailed(f"{target} answers more than 1 MiB to a small question")
    except FOREIGN as error:
        meant = translate(error, target)
        raise ProviderFailed(meant.message, meant.hint) from None
    body = _mapping(content)
    if response.status_code != 200:
        code = printable(_text(body, "error"))[:_MOST_SHOWN]
        message = f"{target} refused to renew the ID token: {f'{code}, ' if code else ''}HTTP status {response.status_code}"
        raise ProviderFailed(message, "log in again", answered=True)
    return body


def _host(url: str) -> str:
    """Who is asked, for people. Raises ProviderFailed if a refresh token may not be sent there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise ProviderFailed("the identity provider's URL has no usable host and port", "correct idp-issuer-url")
    if parts.scheme != "https" and not _is_here(host):
        raise ProviderFailed(
            f"{printable(host)} is asked without TLS, and a refresh token is worth as much as a password",
            "write https:// in idp-issuer-url",
        )
    return f"{printable(host)}:{port}"


def _is_here(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def _trust(settings: Mapping[str, str], where: str) -> ssl.SSLContext:
    data, file = settings.get("idp-certificate-authority-data", ""), settings.get("idp-certificate-authority", "")
    if data:
        try:
            return verifying_context(base64.b64decode(data, validate=True), intermediates_suffice=True)
        except ValueError:
            raise InvalidInput([_problem(f"{where}.idp-certificate-authority-data", "is not base64")]) from None
    if file:
        pem = read_file(Path(file), f"{where}.idp-certificate-authority", "credential.unreadable")
        return verifying_context(pem, intermediates_suffice=True)
    return verifying_context(None, intermediates_suffice=True)


def _expiry(token: str, where: str) -> datetime:
    """When a JSON Web Token ends (RFC 7519, `exp`); its signature is the API server's business."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError):
        raise InvalidInput([_problem(where, "is no ID token: it is not a JWT with the claim exp")]) from None


def _mapping(content: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _problem(where: str, message: str, hint: str = "") -> Problem:
    return Problem(where, "credential.oidc", message, hint)
