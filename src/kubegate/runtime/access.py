"""How clients reach a gate, and the proof that they do: a verified answer of the API server through it."""

import asyncio
from dataclasses import replace

from pydantic import SecretStr

from kubegate.cluster.client import ApiClient, GrantedToken
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.login import Login
from kubegate.cluster.server import Server
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint
from kubegate.render.kubeconfig import ClientAccess
from kubegate.runtime.listening import dial_host
from kubegate.runtime.outfile import CONTEXT_PREFIX
from kubegate.runtime.prepare import Prepared

_ANSWER_SECONDS = 10.0
_ONE_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.2
# What a gate that works may answer to a caller it does not know.
_ALIVE = (200, 401, 403)


class NoAnswer(KubegateError):
    """The gate runs, but no verified answer of the API server came through it."""


def client_access(prepared: Prepared, token: GrantedToken | None) -> ClientAccess:
    """What a client is given: URL, CA, the name to verify where it is not the URL's, and the token that was asked for."""
    host = prepared.client_host
    account = prepared.declared.account
    return ClientAccess(
        name=f"{CONTEXT_PREFIX}{prepared.context.name}",
        url=f"https://{Endpoint(host, prepared.listen.port)}",
        ca_pem=prepared.front.certificate.client_ca_pem if prepared.front else prepared.context.ca_pem,
        tls_server_name=None if (name := _verified_name(prepared, host)) == host else name,
        user=str(account) if account else None,
        token=SecretStr(token.token) if token else None,
    )


async def answer(prepared: Prepared, access: ClientAccess) -> str | None:
    """Ask `/version` through the gate as a client would, verified by what clients are given.

    Returns the API server's version if it is told. Raises NoAnswer if no answer of the API server comes in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ANSWER_SECONDS
    trouble = ""
    while loop.time() < deadline:
        try:
            status, version = await _ask_version(prepared, access)
        except ClusterError as error:
            trouble = error.message
        else:
            if status in _ALIVE:
                return version
            trouble = _meaning(status)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise NoAnswer(
        f"the gate runs, but no valid answer of the API server came through it: {trouble}",
        "the gate was stopped again and nothing was written; see that the API server works",
    )


async def _ask_version(prepared: Prepared, access: ClientAccess) -> tuple[int, str | None]:
    gate = replace(
        prepared.context,
        server=Server("https", Endpoint(dial_host(prepared.listen), prepared.listen.port)),
        ca_pem=access.ca_pem,
        tls_server_name=access.tls_server_name or prepared.client_host,
    )
    login = Login(authorization=f"Bearer {access.token.get_secret_value()}") if access.token else None
    async with ApiClient(gate, login, timeout=_ONE_ANSWER_SECONDS) as client:
        return await client.version()


def _verified_name(prepared: Prepared, host: str) -> str:
    if prepared.front is not None:
        return prepared.front.name_for(host) or host
    verification = prepared.plan.backends[0].verification
    return verification.name if verification else host


def _meaning(status: int) -> str:
    if status == 503:
        return "503, the gate finds no API server that can be reached and proves its identity"
    return f"the API server answers {status} to GET /version"
