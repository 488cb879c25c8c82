"""Which resources an API server has, as its discovery tells (`/api/v1`, `/apis`, `/apis/GROUP/VERSION`)."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from kubegate.cluster.client import Answer, ApiClient
from kubegate.cluster.errors import ClusterError, Unreachable
from kubegate.model.grant import ApiResource

_AT_ONCE = 8


async def api_resources(client: ApiClient, groups: Sequence[str] | None) -> tuple[ApiResource, ...]:
    """The resources of some groups (empty text: the core; None: all), those of the core first, then as the API server sorts them.

    A group whose own server does not answer is left out. Raises a ClusterError if nobody answers at all.
    """
    core = await _versions(client, groups)
    limit = asyncio.Semaphore(_AT_ONCE)
    answers = await asyncio.gather(*(_ask(client, path, limit) for _, path in core))
    found: dict[tuple[str, str], ApiResource] = {}
    for (group, _), answer in zip(core, answers, strict=True):
        for one in _resources(group, answer):
            found.setdefault((one.group, one.name), one)
    if not found:
        raise Unreachable("the API server was asked which resources it has, and named none", "is it an API server?")
    return tuple(found.values())


async def _versions(client: ApiClient, groups: Sequence[str] | None) -> list[tuple[str, str]]:
    """Groups and the path of each of their versions, the preferred one first."""
    found = [("", "/api/v1")] if groups is None or "" in groups else []
    if groups is not None and not any(groups):
        return found
    answer = await client.call("GET", "/apis")
    for group in _mappings(answer.body.get("groups")):
        name = group.get("name")
        if not isinstance(name, str) or (groups is not None and name not in groups):
            continue
        preferred = group.get("preferredVersion")
        versions = (
            [preferred, *_mappings(group.get("versions"))] if isinstance(preferred, dict) else _mappings(group.get("versions"))
        )
        paths = [str(one.get("groupVersion")) for one in versions if isinstance(one.get("groupVersion"), str)]
        found += [(name, f"/apis/{path}") for path in dict.fromkeys(paths)]
    return found


async def _ask(client: ApiClient, path: str, limit: asyncio.Semaphore) -> Answer | None:
    async with limit:
        try:
            answer = await client.call("GET", path)
        except ClusterError:
            if path == "/api/v1":
                raise
            return None
    return answer if answer.status == 200 else None


def _resources(group: str, answer: Answer | None) -> Iterator[ApiResource]:
    for one in _mappings(answer.body.get("resources")) if answer else ():
        name, verbs = one.get("name"), one.get("verbs")
        if isinstance(name, str) and isinstance(verbs, list):
            singular, short = one.get("singularName"), one.get("shortNames")
            others = [singular, *(short if isinstance(short, list) else ())]
            yield ApiResource(
                group=group,
                name=name,
                namespaced=one.get("namespaced") is True,
                verbs=frozenset(map(str, verbs)),
                others=tuple(word for word in others if isinstance(word, str) and word),
            )


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
