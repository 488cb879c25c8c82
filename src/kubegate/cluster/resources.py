"""Objects of the Kubernetes API as JSON: one, all of a kind, one replaced. What is refused becomes Refused, in its words."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from kubegate.cluster.client import Answer, ApiClient
from kubegate.cluster.errors import Refused, TooLarge, Unreachable
from kubegate.model.names import printable

Json = dict[str, Any]
_MOST_SHOWN = 600
_MOST_PAGES = 10_000
_EXPIRED = 410
_ESCALATION = "attempting to grant RBAC permissions not currently held"
_HINTS = {
    401: "log in again: the credential of this context is not accepted",
    403: "the user of this context needs that right; ask somebody who has it",
}


async def get(client: ApiClient, path: str) -> Json:
    """One object. Raises Refused, with status 404 if there is none."""
    return _good(await client.call("GET", path), f"GET {path}")


async def list_all(client: ApiClient, path: str, *, limit: int = 100, what: str = "", **selectors: str) -> list[Json]:
    """All objects of a collection, in pages of `limit` (an answer may have 1 MiB); empty selectors are left out.

    `what` is how a refusal calls it, as in `to list pods`. A list whose continuation expired (410) meanwhile is begun anew,
    once. Raises Refused.
    """
    return (await list_with_version(client, path, limit=limit, what=what, **selectors))[0]


async def list_with_version(
    client: ApiClient, path: str, *, limit: int = 100, what: str = "", **selectors: str
) -> tuple[list[Json], str]:
    """`list_all`, and the resourceVersion from which a watch goes on."""
    try:
        return await _pages(client, path, limit, what or f"GET {path}", selectors)
    except Refused as error:
        if error.status != _EXPIRED:
            raise
        return await _pages(client, path, limit, what or f"GET {path}", selectors)


async def replace(client: ApiClient, path: str, body: Mapping[str, Any]) -> Json:
    """PUT an object, which fails with status 409 where its resourceVersion is not the last one any more. Raises Refused."""
    return _good(await client.call("PUT", path, body), f"PUT {path}")


async def create(client: ApiClient, path: str, body: Mapping[str, Any]) -> Json:
    """POST an object. Raises Refused."""
    return _good(await client.call("POST", path, body), f"POST {path}")


async def delete(client: ApiClient, path: str, uid: str) -> None:
    """DELETE this very object, and no later one of its name; one that is gone already is as good. Raises Refused."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
    answer = await client.call("DELETE", path, options)
    if answer.status != 404:
        _good(answer, f"DELETE {path}")


async def _pages(client: ApiClient, path: str, limit: int, what: str, selectors: Mapping[str, str]) -> tuple[list[Json], str]:
    found: list[Json] = []
    asked = {key: value for key, value in selectors.items() if value}
    token = ""
    for _ in range(_MOST_PAGES):
        query = urlencode({**asked, "limit": str(limit), **({"continue": token} if token else {})})
        try:
            page = _good(await client.call("GET", f"{path}?{query}"), what)
        except TooLarge:
            # Somebody may have made large objects to be in the way of others.
            if limit == 1:
                raise
            limit = max(1, limit // 8)
            continue
        items = page.get("items")
        if not isinstance(items, list):
            raise Unreachable(f"{path} was asked for and something else came", "is it an API server?")
        found += [one for one in items if isinstance(one, dict)]
        metadata = page.get("metadata") or {}
        token = str(metadata.get("continue") or "")
        if not token:
            return found, str(metadata.get("resourceVersion") or "")
    raise Unreachable(f"{path} has no end", "is it an API server?")


def _good(answer: Answer, what: str) -> Json:
    if answer.status not in (200, 201, 202):
        raise refused(answer, what)
    return dict(answer.body)


def refused(answer: Answer, what: str, hints: Mapping[int, str] | None = None) -> Refused:
    """Why the API server refused something, in its own words, and what to do about it; `hints` are by HTTP status."""
    said = printable(answer.text("message").replace("\n", " "))[:_MOST_SHOWN] or f"HTTP status {answer.status}"
    if _ESCALATION in said:
        hint = (
            "nobody can give away rights that they do not have themselves: ask somebody who has them, "
            "or who has the verb escalate on roles and bind on rolebindings"
        )
    else:
        hint = (_HINTS | dict(hints or {})).get(answer.status, "")
    return Refused(f"the API server refused {what}: {said}", hint, status=answer.status, reason=answer.text("reason"))
