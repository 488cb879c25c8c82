"""The stand-in's whole state: some namespaces, every change of them numbered, and watches that see each change once."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from demo.objects import Namespace

_LASTING = ("default", "demo", "kube-system")
_CHANGES_KEPT = 500
_SECONDS_BETWEEN_CHANGES = 2.0


class TooOld(Exception):
    """A watch asks for changes that are no longer kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch: ADDED, MODIFIED or DELETED."""

    kind: str
    namespace: Namespace


class Namespaces:
    """Namespaces by name. To be used in one event loop."""

    def __init__(self) -> None:
        # Like a cluster's, the first number is not small: 0 and 1 mean something else to clients.
        self.version = 1000
        self._items: dict[str, Namespace] = {}
        self._changes: deque[Change] = deque(maxlen=_CHANGES_KEPT)
        self._news = asyncio.Event()
        self._closed = False
        for name in _LASTING:
            self._add(name)

    def all(self) -> list[Namespace]:
        """Every namespace, by name."""
        return sorted(self._items.values(), key=lambda item: item.name)

    def get(self, name: str) -> Namespace | None:
        """One namespace, None if there is none of this name."""
        return self._items.get(name)

    async def live(self) -> None:
        """Let guests come and go, one change every two seconds, for ever."""
        number = 0
        while True:
            number += 1
            name = f"guest-{number}"
            for change in (self._add, self._begin_to_end, self._remove):
                await asyncio.sleep(_SECONDS_BETWEEN_CHANGES)
                change(name)

    async def watch(self, since: int | None) -> AsyncGenerator[Change, None]:
        """Changes after a version, or (None) what there is and then every change; until `close`. Raises TooOld."""
        if since is None:
            since = self.version
            for item in self.all():
                yield Change("ADDED", item)
        while not self._closed:
            if self._changes[0].namespace.version > since + 1:
                raise TooOld
            news = self._news
            for change in [change for change in self._changes if change.namespace.version > since]:
                yield change
                since = change.namespace.version
            await news.wait()

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._news.set()

    def _add(self, name: str) -> None:
        self._note("ADDED", Namespace(name, str(uuid.uuid4()), datetime.now(UTC), "Active", self.version + 1))

    def _begin_to_end(self, name: str) -> None:
        self._note("MODIFIED", replace(self._items[name], phase="Terminating", version=self.version + 1))

    def _remove(self, name: str) -> None:
        self._note("DELETED", replace(self._items[name], version=self.version + 1))
        del self._items[name]

    def _note(self, kind: str, namespace: Namespace) -> None:
        self.version = namespace.version
        self._items[namespace.name] = namespace
        self._changes.append(Change(kind, namespace))
        news, self._news = self._news, asyncio.Event()
        news.set()
