"""Certificate signing requests of a cluster: looked at, with who holds their names, and decided as they were seen."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from kubegate.bootstrap.csr import GROUP, Csr, State, decided, read_csr
from kubegate.bootstrap.holders import Holders, holders
from kubegate.bootstrap.review import Review, Reviewer
from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import Refused
from kubegate.cluster.followed import Followed
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import log_in
from kubegate.cluster.resources import Json, get, list_all, replace
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem

_CONFLICT = 409
_HOLDERS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests are meant: by name, or all that fit the others. `labels` is a label selector."""

    names: Sequence[str] = ()
    labels: str = ""
    signer: str = ""
    requester: str = ""
    states: Sequence[State] = ()

    def fits(self, csr: Csr) -> bool:
        """Whether one is meant, its labels aside."""
        return (
            (not self.names or csr.name in self.names)
            and (not self.signer or csr.signer == self.signer)
            and (not self.requester or csr.user == self.requester)
            and (not self.states or csr.state in self.states)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The requests that are meant, looked at, with their objects; `blind` says what could not be asked about their names."""

    reviews: tuple[Review, ...]
    objects: Mapping[str, Json]
    blind: str = ""


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path | None, context: str | None, environ: Mapping[str, str]) -> AsyncIterator[ApiClient]:
    """A client of the API server of a kubeconfig, logged in. Raises InvalidInput or a ClusterError."""
    found = load(kubeconfig, context, environ)
    async with ApiClient(found, await log_in(found, environ)) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one request: `error` is empty where it was decided; `stale` says that it is not what was shown."""

    name: str
    error: str = ""
    stale: bool = False


async def look(client: ApiClient, wanted: Wanted) -> Found:
    """Look at requests. Raises Refused, and InvalidInput for names of which there is none."""
    everything = await list_all(client, GROUP, labelSelector=wanted.labels)
    held, blind = await _holders(client)
    read = [(read_csr(one), one) for one in everything]
    chosen = [(csr, one) for csr, one in read if wanted.fits(csr)]
    if missing := sorted(set(wanted.names) - {csr.name for csr, _ in chosen}):
        raise InvalidInput(_missing(name, [csr.name for csr, _ in read]) for name in missing)
    reviewer = Reviewer([csr for csr, _ in read], held, datetime.now(UTC))
    ordered = sorted(chosen, key=lambda pair: (pair[0].created, pair[0].name))
    return Found(tuple(reviewer.review(csr) for csr, _ in ordered), {csr.name: one for csr, one in ordered}, blind)


async def followed(client: ApiClient, wanted: Wanted, say: Callable[[str], None]) -> AsyncIterator[Review]:
    """Each request that is meant, and again whenever it stands elsewhere or something else speaks against it, without end.

    Requests are watched; who holds which name is asked again now and then. Raises Refused if they may not be listed.
    """
    changed = asyncio.Event()
    csrs = Followed(client, GROUP, changed=lambda _: changed.set(), say=say, labelSelector=wanted.labels)
    # Whoever may not is told so; what goes wrong later is tried again.
    await get(client, f"{GROUP}?limit=1")
    following = asyncio.create_task(csrs.run(), name="following requests")
    seen: dict[str, tuple[State, tuple[str, ...]]] = {}
    held, asked = None, -_HOLDERS_SECONDS
    try:
        while True:
            await changed.wait()
            changed.clear()
            if time.monotonic() - asked > _HOLDERS_SECONDS:
                (held, _), asked = await _holders(client), time.monotonic()
            read = [read_csr(one) for one in csrs.objects.values()]
            reviewer = Reviewer(read, held, datetime.now(UTC))
            seen = {csr.uid: seen[csr.uid] for csr in read if csr.uid in seen}
            for review in (
                reviewer.review(csr) for csr in sorted(read, key=lambda one: (one.created, one.name)) if wanted.fits(csr)
            ):
                now = (review.csr.state, review.wrong)
                if seen.get(review.csr.uid) != now:
                    seen[review.csr.uid] = now
                    yield review
    finally:
        following.cancel()
        await asyncio.wait({following})


async def settle(
    client: ApiClient, found: Found, kind: State, reason: str, message: str, *, unseen: bool = False, done: Callable[[Done], None]
) -> tuple[Done, ...]:
    """Approve or deny what was shown: an object that changed since is left alone, and said to be stale. Raises Unreachable.

    `unseen`: nobody named or saw them one by one, so that what something speaks against is not approved.
    """
    outcomes = []
    for review in found.reviews:
        if why := _why_not(review, found.blind, unseen=unseen) if kind is State.APPROVED else "":
            outcome = Done(review.csr.name, f"it is not approved, for {why}")
        else:
            outcome = await _settle(client, found.objects[review.csr.name], kind, reason, message)
        done(outcome)
        outcomes.append(outcome)
    return tuple(outcomes)


def _why_not(review: Review, blind: str, *, unseen: bool) -> str:
    if review.request is None:
        return f"what would be signed cannot be shown: {review.wrong[0]}"
    if unseen and (review.wrong or review.same_key):
        against = review.wrong or (f"its key is also that of {', '.join(review.same_key)}",)
        return f"something speaks against it, and it was not named: {'; '.join(against)}"
    if unseen and blind and review.request.names:
        return "nobody could say whose its names are, and it was not named"
    return ""


async def _settle(client: ApiClient, seen: Json, kind: State, reason: str, message: str) -> Done:
    name = str(seen["metadata"]["name"])
    path = f"{GROUP}/{quote(name, safe='')}/approval"
    try:
        await replace(client, path, decided(seen, kind, reason, message))
    except Refused as error:
        if error.status == _CONFLICT:
            return Done(name, "it is not what was shown any more", stale=True)
        return Done(name, _explained(error, seen))
    return Done(name)


def _explained(error: Refused, seen: Json) -> str:
    """What a refusal means in rights that are needed (KEP-1513)."""
    signer = printable(str(seen["spec"]["signerName"]))
    if error.status != 403:
        return error.message
    return (
        f"{error.message}. Needed are the verb update on certificatesigningrequests/approval, and the verb approve on signers "
        f"with the name {signer}, both of certificates.k8s.io"
    )


async def _holders(client: ApiClient) -> tuple[Holders | None, str]:
    """Who holds which name, or what this user may not ask."""
    try:
        nodes = await list_all(client, "/api/v1/nodes", limit=20)
        services = await list_all(client, "/api/v1/services")
        slices = await client.api_servers()
    except Refused as error:
        return None, error.message
    return holders(nodes, services, [one.host for one in slices]), ""


def _missing(name: str, there: Sequence[str]) -> Problem:
    known = ", ".join(map(printable, there[:12])) or "none"
    message = f"there is no CertificateSigningRequest {printable(name)}"
    return Problem("NAME", "csr.unknown", message, f"there are: {known}")
