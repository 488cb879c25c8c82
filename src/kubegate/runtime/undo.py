"""Objects that a command makes one after the other: if it does not get to its end, each is taken away again."""

import secrets
from collections.abc import Mapping
from typing import Any

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.objects import Ref, create, delete, ref_of, refused

_STAMP = "kubegate.dev/id"


class Undo:
    """Makes objects and remembers them. `attempt` is written on each, so that one whose making was not answered is known too."""

    def __init__(self, client: ApiClient) -> None:
        self.attempt = secrets.token_hex(8)
        self.made: list[Ref] = []
        self._client = client

    async def create(self, manifest: Mapping[str, Any]) -> Ref:
        """Make an object. Raises Refused or another ClusterError."""
        metadata = dict(manifest["metadata"])
        metadata["annotations"] = dict(metadata.get("annotations") or {}) | {_STAMP: self.attempt}
        kind = str(manifest["kind"])
        meant = ref_of(kind, manifest)
        self.made.append(meant)
        try:
            made = await create(self._client, {**manifest, "metadata": metadata})
        except Refused:
            self.made.remove(meant)
            raise
        self.made[self.made.index(meant)] = made
        return made

    async def back(self) -> list[Ref]:
        """Take away what was made, the last first; returns what could not be taken away."""
        left = []
        for ref in reversed(self.made):
            try:
                if found := await self._mine(ref):
                    await delete(self._client, found)
            except ClusterError:
                left.append(ref)
        return left

    async def _mine(self, ref: Ref) -> Ref | None:
        """The object, if it is there and was made by this attempt: the answer to its making may have been lost."""
        if ref.uid:
            return ref
        answer = await self._client.call("GET", ref.path)
        if answer.status not in (200, 404):
            raise refused(answer, f"to show the {ref}")
        return ref_of(ref.kind, answer.body) if answer.text("metadata", "annotations", _STAMP) == self.attempt else None
