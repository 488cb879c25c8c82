"""`kubegate grant`: an account with these rights alone, its credential, and a kubeconfig that was tried out; or nothing."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from pydantic import SecretBytes, SecretStr

from kubegate.cluster import certificate_request
from kubegate.cluster.api_resources import api_resources
from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential
from kubegate.cluster.errors import ClusterError, Refused, Unreachable
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.server import parse_server
from kubegate.errors import KubegateError
from kubegate.model.grant import Can, Grant, Kind, strong_rights
from kubegate.model.grant import rules_of as resolved
from kubegate.model.problem import InvalidInput
from kubegate.model.rules_review import RulesReview, read_review, withheld
from kubegate.pki.client_request import client_request
from kubegate.render import grant as objects
from kubegate.render.kubeconfig import ClientAccess, render
from kubegate.runtime import outfile
from kubegate.runtime.grant_flags import WantedGrant
from kubegate.runtime.undo import Undo

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_EFFECT_SECONDS = 15.0
_PAUSE_SECONDS = 0.3
# What is granted may be this much less than what was asked for without a word: clocks, and the signer's own rounding.
_SLACK_SECONDS = 330


class HalfDone(KubegateError):
    """It failed, and what was made could not all be taken away again."""


@dataclass(frozen=True, slots=True)
class Granted:
    """An account that can be used. `expires` is what the API server really gave; `reviews` are what the account was told
    about itself, in its own namespaces and, the last one, in another.
    """

    grant: Grant
    access: ClientAccess
    expires: datetime
    file: str
    reviews: tuple[RulesReview, ...]
    elsewhere: RulesReview | None
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]


async def manifests(wanted: WantedGrant, environ: Mapping[str, str] = os.environ) -> tuple[Grant, str]:
    """The objects as YAML, and nothing made. Raises InvalidInput or a ClusterError."""
    async with ApiClient(wanted.context, await log_in(wanted.context, environ)) as client:
        grant = await _grant(client, wanted)
    return grant, objects.to_yaml([objects.account(grant), *objects.roles(grant), *objects.bindings(grant, None)])


async def grant(wanted: WantedGrant, environ: Mapping[str, str] = os.environ) -> Granted:
    """Make the account and write its kubeconfig, or leave everything as it was.

    Raises InvalidInput, a ClusterError, FileTrouble, or HalfDone, which says what could not be taken away.
    """
    async with ApiClient(wanted.context, await log_in(wanted.context, environ)) as client:
        found = await _grant(client, wanted)
        undo = Undo(client)
        try:
            return await _make(client, undo, wanted, found)
        except BaseException as error:
            left = await undo.back()
            if left and isinstance(error, KubegateError | asyncio.CancelledError):
                names = ", ".join(map(str, left))
                said = error.message if isinstance(error, KubegateError) else "stopped"
                raise HalfDone(
                    f"{said}; and this is left, for it could not be taken away again: {names}",
                    f"kubegate revoke {found.name}, once the API server answers",
                ) from None
            raise


async def _grant(client: ApiClient, wanted: WantedGrant) -> Grant:
    known = await api_resources(client, _groups(wanted.cans))
    rules, problems = resolved(wanted.cans, known, everywhere=not wanted.namespaces)
    if problems:
        raise InvalidInput(problems)
    return wanted.grant(rules)


def _groups(cans: tuple[Can, ...]) -> list[str] | None:
    """The groups that are named; None where a name without a group may be of any."""
    plain = [target.partition("/")[0] for can in cans for target in can.targets if not target.startswith("/")]
    return None if any("." not in one for one in plain) else list(dict.fromkeys(one.partition(".")[2] for one in plain)) or [""]


async def _make(client: ApiClient, undo: Undo, wanted: WantedGrant, grant: Grant) -> Granted:
    if grant.kind is Kind.TOKEN:
        access, login, expires = await _by_token(client, undo, wanted, grant)
    else:
        access, login, expires = await _by_certificate(client, undo, wanted, grant)
    for manifest in (*objects.roles(grant), *objects.bindings(grant, expires)):
        await undo.create(manifest)
    reviews, elsewhere = await _tried(wanted, grant, access, login)
    outfile.write(wanted.target, render(access))
    return Granted(
        grant=grant,
        access=access,
        expires=expires,
        file=str(wanted.target),
        reviews=reviews,
        elsewhere=elsewhere,
        warnings=tuple(strong_rights(grant.rules)),
        remarks=tuple(_remarks(wanted, expires, reviews)),
    )


async def _by_token(client: ApiClient, undo: Undo, wanted: WantedGrant, grant: Grant) -> tuple[ClientAccess, Login, datetime]:
    await undo.create(objects.account(grant))
    given = await client.request_token(grant.home, grant.name, wanted.seconds)
    access = wanted.access.model_copy(update={"token": SecretStr(given.token)})
    return access, Login(authorization=f"Bearer {given.token}"), given.expires


async def _by_certificate(
    client: ApiClient, undo: Undo, wanted: WantedGrant, grant: Grant
) -> tuple[ClientAccess, Login, datetime]:
    key, request = client_request(grant.user)
    name = f"{objects.object_name(grant)}-{grant.user.rpartition(':')[2]}"
    ref = await undo.create(certificate_request.request_manifest(name, objects.labels(grant.name), request, wanted.seconds))
    await certificate_request.approve(client, ref)
    chain = await certificate_request.issued(client, ref)
    try:
        expires = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    except ValueError:
        raise Unreachable(f"the {ref} holds something that is no certificate", "is it an API server?") from None
    access = wanted.access.model_copy(update={"certificate_pem": chain, "key_pem": SecretBytes(key)})
    return access, Login(certificate_pem=chain, key_pem=key), expires


async def _tried(
    wanted: WantedGrant, grant: Grant, access: ClientAccess, login: Login
) -> tuple[tuple[RulesReview, ...], RulesReview | None]:
    """What the account is told about itself, by its own credential, once its rights have reached that API server."""
    context = _own(wanted.context, access, given=wanted.given_server)
    places = grant.namespaces or (grant.home,)
    other = next((one for one in ("kube-system", "default") if one not in places), None) if grant.namespaces else None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _EFFECT_SECONDS
    try:
        async with ApiClient(context, login) as client:
            while True:
                reviews = tuple([await _review(client, place) for place in places])
                if all(review.incomplete or all(map(review.allows, grant.rules)) for review in reviews):
                    return reviews, await _review(client, other) if other else None
                if loop.time() > deadline:
                    message = f"the account was made, and {access.url} does not say that it has these rights"
                    raise Unreachable(message, "does its API server authorize by RBAC?")
                await asyncio.sleep(_PAUSE_SECONDS)
    except Refused as error:
        if grant.kind is Kind.CERTIFICATE and wanted.given_server and error.status in (401, 403):
            hint = "no client certificate passes a gate that opens TLS: grant a token, or use a gate with mode: passthrough"
            raise Refused(error.message, hint, status=error.status) from None
        raise
    except ClusterError as error:
        raise type(error)(f"the account's own kubeconfig does not work: {error.message}", error.hint) from None


async def _review(client: ApiClient, namespace: str) -> RulesReview:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    answer = await client.call("POST", _REVIEW, body)
    if answer.status not in (200, 201):
        said = answer.text("message")[:300].replace("\n", " ") or f"HTTP status {answer.status}"
        raise Refused(f"the new account was refused: {said}", "is --server a gate of this cluster?", status=answer.status)
    return read_review(namespace, answer.body)


def _own(context: Context, access: ClientAccess, *, given: bool) -> Context:
    """The context of the account's own kubeconfig."""
    return replace(
        context,
        server=parse_server(access.url, "--server"),
        ca_pem=access.ca_pem,
        tls_server_name=access.tls_server_name,
        proxy_url=None if given else context.proxy_url,
        credential=Credential(),
    )


def _remarks(wanted: WantedGrant, expires: datetime, reviews: tuple[RulesReview, ...]) -> list[str]:
    remarks = []
    left = (expires - datetime.now(expires.tzinfo)).total_seconds()
    if abs(left - wanted.seconds) > _SLACK_SECONDS:
        remarks.append(f"{wanted.lifetime} was asked for, and the API server gave {left / 60:.0f} minutes")
    if any(review.incomplete for review in reviews):
        remarks.append("an authorizer of this cluster does not list its rules: the account may do more than is shown")
    if wanted.context.proxy_url and not wanted.given_server:
        remarks.append("the way by a proxy (proxy-url) is not in the new kubeconfig: set it there if it is needed")
    if wanted.kind is Kind.CERTIFICATE:
        remarks.append(
            "no API server checks whether a client certificate was revoked: it logs in until it expires; "
            "kubegate revoke takes its rights away at once"
        )
    return remarks


def facts(granted: Granted) -> dict[str, object]:
    """What was made, for scripts; no secret is in it."""
    grant = granted.grant
    return {
        "name": grant.name,
        "credential": str(grant.kind),
        "user": grant.user,
        "namespaces": list(grant.namespaces),
        "allNamespaces": grant.everywhere,
        "can": [rule.shown for rule in grant.rules],
        "expires": granted.expires.isoformat(),
        "server": granted.access.url,
        "kubeconfig": granted.file,
        "context": granted.access.name,
        "reviews": [_review_facts(one, grant) for one in granted.reviews],
        "elsewhere": _review_facts(granted.elsewhere, grant) if granted.elsewhere else None,
        "warnings": list(granted.warnings),
        "remarks": list(granted.remarks),
    }


def _review_facts(review: RulesReview, grant: Grant) -> dict[str, object]:
    return {
        "namespace": review.namespace,
        "incomplete": review.incomplete,
        "rules": [rule.shown for rule in review.rules],
        "besides": review.besides(grant.rules),
        "cannot": withheld(review),
    }
