"""Leader election by a Lease of coordination.k8s.io/v1, as client-go's does it: of many replicas one leads.

Whose Lease it is is decided by the API server (resourceVersion); when it ran out, by how long this process saw it unchanged, so
that clocks which differ matter nothing. Whoever cannot renew stops leading before anyone else may begin.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import ClusterError, Refused
from kubegate.cluster.resources import Json, create, get, replace

LEASE_SECONDS = 15
"""How long others wait before they take a Lease that is not renewed."""
RENEW_SECONDS = 10.0
"""Within which time it has to be renewed, else its holder stops."""
RETRY_SECONDS = 2.0
_CONFLICT, _MISSING = 409, 404


class Election:
    """A Lease that processes contend for; `identity` is this one's, unlike all others. `leading` says whether it leads now."""

    def __init__(
        self, client: ApiClient, namespace: str, name: str, identity: str, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.leading = False
        self.holder = ""
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._say = say
        self._seen: tuple[str, float] = ("", 0.0)
        self._told = ""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Contend until cancelled; whenever this process leads, `lead` runs, and is cancelled when it does not any more.

        Cancelled itself, it gives the Lease back. What `lead` raises ends this.
        """
        while True:
            if not await self._acquired():
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.leading = True
            self._say("leads")
            work = asyncio.ensure_future(lead())
            renewing = asyncio.create_task(self._keep(), name="renewing the Lease")
            try:
                await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.leading = False
                for task in (work, renewing):
                    task.cancel()
                await asyncio.wait({work, renewing})
                await self._release()
            if not work.cancelled() and (error := work.exception()):
                raise error
            self._say("does not lead any more")

    async def _keep(self) -> None:
        """Renew; returns when that failed for too long, or when somebody else has it."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < RENEW_SECONDS:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, RENEW_SECONDS - (time.monotonic() - renewed))):
                    begun = time.monotonic()
                    if not await self._acquired():
                        if self.holder != self._identity:
                            return
                        continue
                    renewed = begun
            except TimeoutError:
                return

    async def _acquired(self) -> bool:
        """Try to take or renew it."""
        try:
            held = await self._look()
            if held is None:
                await create(self._client, self._collection, self._body({}, 0))
                self.holder = self._identity
                return True
            spec: dict[str, Any] = held.get("spec") or {}
            self.holder = str(spec.get("holderIdentity") or "")
            if self.holder not in ("", self._identity) and not self._ran_out(held):
                return False
            transitions = int(spec.get("leaseTransitions") or 0) + (self.holder != self._identity)
            await replace(self._client, self._path, self._body(held, transitions))
            self.holder = self._identity
            self._told = ""
            return True
        except Refused as error:
            if error.status != _CONFLICT:
                self._tell(str(error))
            return False
        except ClusterError as error:
            self._tell(str(error))
            return False

    async def _look(self) -> Json | None:
        try:
            return await get(self._client, self._path)
        except Refused as error:
            if error.status == _MISSING:
                return None
            raise

    def _ran_out(self, held: Json) -> bool:
        version = str(held["metadata"].get("resourceVersion"))
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
        seconds = float((held.get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS)
        return time.monotonic() - self._seen[1] > seconds

    async def _release(self) -> None:
        """Let others have it at once."""
        try:
            held = await self._look()
            if held and (held.get("spec") or {}).get("holderIdentity") == self._identity:
                body = self._body(held, int(held["spec"].get("leaseTransitions") or 0))
                body["spec"]["holderIdentity"] = ""
                await replace(self._client, self._path, body)
        except (ClusterError, asyncio.CancelledError):
            # It runs out by itself.
            return

    def _body(self, held: Json, transitions: int) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = held.get("spec") or {}
        begun = old.get("acquireTime") if old.get("holderIdentity") == self._identity else None
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": begun or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        metadata = held.get("metadata") or {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    @property
    def _path(self) -> str:
        return f"{self._collection}/{quote(self._name, safe='')}"

    def _tell(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._say(f"the Lease cannot be had, and is tried again: {words}")
