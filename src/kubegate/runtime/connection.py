"""`kubegate test-connection` and `whoami`: every way to a cluster tried as a client would, with the context's own credential."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubegate.cluster import in_cluster
from kubegate.cluster.client import ApiClient
from kubegate.cluster.connection import NODES, Failure, Point, Step, Tried, try_out
from kubegate.cluster.context import Context
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.login import Login, log_in
from kubegate.cluster.self_review import Identity, who_am_i
from kubegate.errors import KubegateError
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime.ways import Asked, Way, asked_ways, found_ways

_SECONDS = 5.0
_NO_PASSAGE = "the context logs in by a client certificate, which cannot pass where the gate opens TLS"
_NO_PASSAGE_HINT = "use a token there (kubegate kubeconfig make --token-file), or mode: passthrough"


@dataclass(frozen=True, slots=True)
class TriedWay:
    """A way and what came of it."""

    way: Way
    tried: Tried

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        failure = self.tried.failure
        return {
            "kind": self.way.kind,
            "name": self.way.name,
            "url": self.way.url,
            "verified_name": self.way.context.verified_name,
            "asked": self.way.asked,
            "ok": failure is None,
            "failure": asdict(failure) if failure else None,
            "steps": [asdict(one) for one in self.tried.steps],
        }


@dataclass(frozen=True, slots=True)
class TestedConnection:
    """Every way, and why others are not known."""

    context: Context
    ways: tuple[TriedWay, ...]
    notes: tuple[Problem, ...]

    @property
    def well(self) -> bool:
        """Whether every way that a person named works. Others may lead where only pods come."""
        return all(one.tried.failure is None for one in self.ways if one.way.asked)


@dataclass(frozen=True, slots=True)
class Known:
    """Who somebody is on one way, or why that is not known."""

    way: Way
    identity: Identity | None
    failure: Problem | None

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.way.kind,
            "name": self.way.name,
            "url": self.way.url,
            "asked": self.way.asked,
            "identity": asdict(self.identity) if self.identity else None,
            "problem": asdict(self.failure) if self.failure else None,
        }


@dataclass(frozen=True, slots=True)
class Identities:
    """Who somebody is on every way, and why other ways are not known."""

    known: tuple[Known, ...]
    notes: tuple[Problem, ...]

    @property
    def well(self) -> bool:
        """Whether it is known on every way that a person named."""
        return all(one.identity is not None for one in self.known if one.way.asked)

    @property
    def same(self) -> bool:
        """Whether it is the same person on every way on which it is known."""
        return len({(one.identity.username, one.identity.uid) for one in self.known if one.identity}) < 2


def ready(
    kubeconfig: Path | None, context: str | None, asked: Asked, environ: Mapping[str, str] = os.environ
) -> tuple[Context, tuple[Way, ...]]:
    """The context, and the ways that a person named. Raises InvalidInput with every problem."""
    found = load(kubeconfig, context, environ, fallback=in_cluster.possible(environ))
    return found, asked_ways(found, asked, environ)


async def logged_in(context: Context, environ: Mapping[str, str]) -> tuple[Login, Failure | None]:
    """The context's credential, or why there is none. What is wrong with it is a fact about the connection here."""
    try:
        return await log_in(context, environ), None
    except InvalidInput as error:
        first = error.problems[0]
        return Login(), Failure(Point.LOGIN, "; ".join(f"{one.where}: {one.message}" for one in error.problems), first.hint)
    except KubegateError as error:
        return Login(), Failure(Point.LOGIN, error.message, error.hint)


async def tested(
    context: Context, ways: tuple[Way, ...], environ: Mapping[str, str] = os.environ, *, path: str = NODES
) -> TestedConnection:
    """Try every way: those that were named, and those that the cluster names, at the same time."""
    login, failed = await logged_in(context, environ)
    if failed is not None:
        step = Step("login", False, failed.message)
        return TestedConnection(context, tuple(TriedWay(one, Tried((step,), failed)) for one in ways), ())
    found, tried = await asyncio.gather(
        found_ways(ways[0].context, login), asyncio.gather(*(_tried(one, login, path) for one in ways))
    )
    more = _beside(ways, found.ways)
    tried += await asyncio.gather(*(_tried(one, login, path) for one in more))
    every = zip([*ways, *more], tried, strict=True)
    return TestedConnection(context, tuple(TriedWay(way, what) for way, what in every), found.notes)


async def _tried(way: Way, login: Login, path: str) -> Tried:
    if way.opened and not way.asks and login.certificate_pem and not login.authorization:
        failure = Failure(Point.LOGIN, _NO_PASSAGE, _NO_PASSAGE_HINT)
        return Tried((Step("login", False, failure.message),), failure)
    return await try_out(way.context, way.login(login), path=path)


async def identities(context: Context, ways: tuple[Way, ...], environ: Mapping[str, str] = os.environ) -> Identities:
    """Who the context's user is on each way: those that were named, and those that the cluster names."""
    login, failed = await logged_in(context, environ)
    if failed is not None:
        problem = Problem("login", "connection.login", failed.message, failed.hint)
        return Identities(tuple(Known(one, None, problem) for one in ways), ())
    found, known = await asyncio.gather(found_ways(ways[0].context, login), asyncio.gather(*(_known(one, login) for one in ways)))
    known += await asyncio.gather(*(_known(one, login) for one in _beside(ways, found.ways)))
    return Identities(tuple(known), found.notes)


def _beside(ways: Sequence[Way], found: Sequence[Way]) -> list[Way]:
    """The ways that lead elsewhere than those that were named."""
    return [one for one in found if all(one.url != other.url for other in ways)]


async def _known(way: Way, login: Login) -> Known:
    if way.opened and not way.asks and login.certificate_pem and not login.authorization:
        return Known(way, None, Problem(way.url, "connection.login", _NO_PASSAGE, _NO_PASSAGE_HINT))
    try:
        async with ApiClient(way.context, way.login(login), timeout=_SECONDS) as client:
            return Known(way, await who_am_i(client), None)
    except KubegateError as error:
        return Known(way, None, Problem(way.url, "connection.whoami", error.message, error.hint))
