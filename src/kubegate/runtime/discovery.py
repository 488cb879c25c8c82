"""Asking a cluster for its API servers, again and again, as the user of its kubeconfig.

Whoever answered last is asked first, then the server of the kubeconfig, then every other member that is known: so a gate outlives
the server that its kubeconfig names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.server import Server
from kubegate.model.address import Endpoint

_ANSWER_SECONDS = 3.0
_PLUGIN_SECONDS = 30.0
# A credential that ends this soon is not used any more.
_SPARE_TIME = timedelta(seconds=10)


class Discovery:
    """The way to ask one cluster. `ca_pem` is the CA bundle that verifies whoever is asked."""

    def __init__(self, context: Context, ca_pem: bytes | None, environ: Mapping[str, str]) -> None:
        self._context = context
        self._ca_pem = ca_pem
        self._environ = environ
        self._login: Login | None = None
        self._last: Endpoint | None = None

    async def ask(self, members: Sequence[Endpoint], name: str) -> tuple[Endpoint, ...]:
        """The addresses at this moment. Raises KubegateError, of the first that was asked.

        `members` are those that are known; they are asked too if there is a `name` by which API servers are told from others.
        """
        trouble: ClusterError | None = None
        for asked in self._to_ask(members if name else ()):
            try:
                found = await self._ask(self._by_way_of(asked, name))
            except ClusterError as error:
                trouble = trouble or error
                if isinstance(error, Refused) and error.status in (401, 403):
                    # Nobody else would say otherwise.
                    break
            else:
                self._last = asked
                return found
        assert trouble is not None, "somebody is always asked"
        raise trouble

    def _to_ask(self, members: Sequence[Endpoint]) -> Iterator[Endpoint]:
        first = [one for one in members if one == self._last]
        yield from dict.fromkeys([*first, self._context.server.endpoint, *members])

    def _by_way_of(self, at: Endpoint, name: str) -> Context:
        if at == self._context.server.endpoint:
            return self._context
        return replace(self._context, server=Server(self._context.scheme, at), tls_server_name=name)

    async def _ask(self, context: Context) -> tuple[Endpoint, ...]:
        kept = self._login
        login = await self._log_in()
        try:
            return await self._api_servers(context, login)
        except Refused as error:
            if error.status != 401 or login is not kept:
                raise
        # What a plugin gave is used until it ends, or is not taken any more.
        self._login = None
        return await self._api_servers(context, await self._log_in())

    async def _api_servers(self, context: Context, login: Login) -> tuple[Endpoint, ...]:
        async with ApiClient(context, login, ca_pem=self._ca_pem, timeout=_ANSWER_SECONDS) as client:
            return await client.api_servers()

    async def _log_in(self) -> Login:
        credential = self._context.credential
        by_plugin = credential.exec_plugin is not None and not credential.has_secret
        if self._login is None or not by_plugin or _ends_soon(self._login):
            # Files are read each time, for they may hold another token by now.
            self._login = await log_in(self._context, self._environ, _PLUGIN_SECONDS)
        return self._login


def _ends_soon(login: Login) -> bool:
    return login.expires is not None and login.expires < datetime.now(UTC) + _SPARE_TIME
