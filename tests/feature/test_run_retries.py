"""An API server that dies in the middle of sixteen clients' traffic, or says that it is not ready, and who notices what of it."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.expose import Home, home
from tests.support.load import Asked, Load
from tests.support.run import cluster, gate_file, run
from tests.support.separate import HELD, Separate, hold
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

WEBSOCKET = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
# What may run something in a pod, or stays open.
COMMANDS = itertools.cycle(["/exec?command=sh", "/attach", "/portforward?ports=80", "/proxy/run", "?watch=true", "/log?follow=1"])


@pytest.fixture
def person() -> Iterator[Home]:
    """Someone with an empty home."""
    with home() as person:
        yield person


class Mixture:
    """Requests of all kinds, the kind in the path: as long as `dying` holds none of a kind, such as it would hold."""

    def __init__(self, version: str, dying: Upstream | Separate) -> None:
        self.kinds = ["get", "head", "write", "command", *(["upgrade"] if version == "h1" else [])]
        self._dying = dying

    def lacking(self) -> list[str]:
        """The kinds of which nothing is held."""
        held = [path for path in self._dying.paths() if HELD in path]
        return [kind for kind in self.kinds if not any(f"/{kind}-" in path for path in held)]

    def __call__(self, number: int) -> tuple[str, str, Sequence[tuple[str, str]]]:
        """Method, target and headers."""
        kind = self.kinds[number % len(self.kinds)]
        namespace = "held" if kind in self.lacking() else "usual"
        method = {"head": "HEAD", "write": "POST"}.get(kind, "GET")
        end = next(COMMANDS) if kind == "command" else "/exec?command=sh" if kind == "upgrade" else ""
        return method, f"/api/v1/namespaces/{namespace}/pods/{kind}-{number}{end}", WEBSOCKET if kind == "upgrade" else ()


@dataclass
class Aftermath:
    """What clients got, and how often each path arrived at the server that died and at the other."""

    asked: list[Asked]
    died: Counter[str]
    lived: Counter[str]

    def of(self, *kinds: str) -> list[Asked]:
        """The requests of these kinds."""
        found = [one for one in self.asked if any(f"/{kind}-" in one.target for kind in kinds)]
        assert len(found) > 20
        return found

    def arrived(self, one: Asked) -> int:
        """How often it was sent to an API server."""
        path = one.target.partition("?")[0]
        return self.died[path] + self.lived[path]

    def held(self, *kinds: str) -> list[str]:
        """The paths of these kinds that the server held when it died."""
        return [path for path in self.died if HELD in path and any(f"/{kind}-" in path for kind in kinds)]


@pytest.fixture(
    scope="module",
    params=[("reset", "h1"), ("reset", "h2"), ("SIGKILL", "h1"), ("SIGKILL", "h2")],
    ids=lambda param: "-".join(param),
)
def aftermath(request: pytest.FixtureRequest) -> Iterator[Aftermath]:
    """Sixteen clients ask two servers for everything; one of these is killed while it holds some of each kind."""
    how, version = request.param
    with contextlib.ExitStack() as stack:
        person = stack.enter_context(home())
        lives = stack.enter_context(Upstream())
        dies: Any = stack.enter_context(Upstream() if how == "reset" else Separate())
        if how == "reset":
            dies.at("/", hold)
        gate = stack.enter_context(run(gate_file(person.path, cluster(person.path, "one", lives, dies)), person))
        gate.until_up("one", 2)
        mixture = Mixture(version, dies)
        with Load(gate, mixture, version=version) as load:
            eventually(lambda: not mixture.lacking(), "some of each kind is held")
            load.until(100)
            if how == "reset":
                dies.close(reset=True)
            else:
                dies.kill()
            load.until(300)
        yield Aftermath(load.stop(), Counter(dies.paths()), Counter(lives.paths()))


def test_no_read_fails(aftermath: Aftermath) -> None:
    assert {one.status for one in aftermath.of("get", "head")} == {200}


def test_reads_that_the_server_held_were_answered_by_the_other_one(aftermath: Aftermath) -> None:
    held = aftermath.held("get", "head")
    assert held
    assert {aftermath.lived[path] for path in held} == {1}


@pytest.mark.parametrize("kinds", [("write",), ("command", "upgrade")], ids=["writes", "commands"])
def test_what_changes_or_runs_something_is_never_sent_twice(aftermath: Aftermath, kinds: tuple[str, ...]) -> None:
    assert aftermath.held(*kinds)
    for one in aftermath.of(*kinds):
        # Once, or not at all where the connection broke before it was read.
        assert aftermath.arrived(one) == 1 or (aftermath.arrived(one) == 0 and one.status in (0, 502)), one


def test_only_what_the_server_had_begun_fails(aftermath: Aftermath) -> None:
    """By a 502; or, on a connection that had been used before (HTTP/1) or by a reset (HTTP/2), without an answer."""
    failed = [one for one in aftermath.asked if one.status != 200]
    assert {one.status for one in failed} <= {0, 502}
    assert not [one for one in failed if aftermath.lived[one.target.partition("?")[0]]]
    assert len(failed) <= 16
