"""A collection of the API server, kept as it is there: listed, watched, and listed anew whenever the watch cannot go on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.resources import Json, list_with_version

_SILENCE_SECONDS = 330.0
_WATCH_SECONDS = 300
_PAUSE_SECONDS = (0.2, 1.0, 3.0, 10.0, 30.0)
_GONE = 410


class Followed:
    """The objects of one collection by name (NAMESPACE/NAME where they have a namespace), for as long as `run` runs.

    `ready` is set once they were listed; `changed` is called with the name of whatever came, changed or went, and with ""
    after a list. `keep` makes of an object what is remembered of it.
    """

    def __init__(
        self,
        client: ApiClient,
        path: str,
        *,
        changed: Callable[[str], None],
        say: Callable[[str], None],
        keep: Callable[[Json], Json] = lambda found: found,
        limit: int = 100,
        **selectors: str,
    ) -> None:
        self.objects: dict[str, Json] = {}
        self.ready = asyncio.Event()
        self._client = client
        self._path = path
        self._changed = changed
        self._say = say
        self._keep = keep
        self._limit = limit
        self._selectors = selectors
        self._told = ""

    async def run(self) -> None:
        """Follow until cancelled; what keeps it from that is said once, and tried again and again."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                while version:
                    version = await self._watch(version)
            except ClusterError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    self._say(f"{self._path} cannot be followed, and is tried again: {error}")
                failures += 1
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS)) - 1])

    async def _list(self) -> str:
        items, version = await list_with_version(self._client, self._path, limit=self._limit, **self._selectors)
        self.objects = {_name(one): self._keep(one) for one in items}
        self._told = ""
        self.ready.set()
        self._changed("")
        return version

    async def _watch(self, version: str) -> str:
        """Watch from a version on; the version to go on from, empty where it has to be listed anew."""
        query = {**self._selectors, "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(_WATCH_SECONDS)
        try:
            async with self._client.events(f"{self._path}?{urlencode(query)}", _SILENCE_SECONDS) as events:
                async for version_now in self._taken(events):
                    if not version_now:
                        return ""
                    version = version_now
        except Refused as error:
            if error.status == _GONE:
                return ""
            raise
        return version

    async def _taken(self, events: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[str]:
        async for event in events:
            found: Any = event.get("object")
            if event.get("type") == "ERROR" or not isinstance(found, dict):
                yield ""
                return
            metadata = found.get("metadata") or {}
            if event.get("type") != "BOOKMARK":
                self._take(str(event.get("type")), _name(found), found)
            yield str(metadata.get("resourceVersion") or "")

    def _take(self, kind: str, name: str, found: Json) -> None:
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = self._keep(found)
        self._changed(name)


def _name(found: Json) -> str:
    metadata = found.get("metadata") or {}
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata.get('name')}" if namespace else str(metadata.get("name"))
