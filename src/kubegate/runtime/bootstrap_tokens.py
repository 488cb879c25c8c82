"""Bootstrap tokens of a cluster: made, listed, deleted."""

from collections.abc import Sequence

from kubegate.bootstrap.tokens import NAMESPACE, PREFIX, TYPE, BootstrapToken, read_secret, secret_of
from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import Refused
from kubegate.cluster.resources import create, delete, list_all
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_THERE = 409


async def all_tokens(client: ApiClient) -> list[BootstrapToken]:
    """All that there are, the one that ends first first. Raises Refused."""
    found = await list_all(client, _SECRETS, limit=50, fieldSelector=f"type={TYPE}")
    return sorted(map(read_secret, found), key=lambda one: (one.expires is None, one.expires, one.id))


async def make(client: ApiClient, token: BootstrapToken) -> BootstrapToken:
    """Make a token, which is then there as it was given. Raises Refused."""
    try:
        await create(client, _SECRETS, secret_of(token))
    except Refused as error:
        if error.status == _THERE:
            raise Refused(f"there is a token {token.id} already", "try again: each has an id of its own", status=_THERE) from None
        raise
    return token


async def remove(client: ApiClient, ids: Sequence[str]) -> list[BootstrapToken]:
    """Delete tokens by their ids; all of them are there, or nothing is deleted. Raises InvalidInput or Refused."""
    found = {one.id: one for one in await all_tokens(client)}
    if missing := [one for one in ids if one not in found]:
        known = ", ".join(map(printable, found)) or "none"
        raise InvalidInput(
            Problem("ID", "token.unknown", f"there is no token {printable(one)}", f"there are: {known}") for one in missing
        )
    for one in ids:
        await delete(client, f"{_SECRETS}/{PREFIX}{one}", found[one].uid)
    return [found[one] for one in ids]
