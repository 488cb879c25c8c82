"""Hostile HTTP against what was rendered for other engines: refused, or harmless, never a second request or another caller."""

import contextlib
import itertools
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.feature.test_smuggling import BAD_CHUNKS, CHUNKED, REFUSED, post
from tests.support.engines import ENGINES, Running, engine_of, render
from tests.support.expose import home
from tests.support.rawhttp import Answer, NoAnswer, request
from tests.support.run import cluster, gate_file
from tests.support.upstream import Request, Upstream

pytestmark = pytest.mark.haproxy

_numbers = itertools.count()
# Forms that an engine takes for one request, which it frames anew; docs/targets.md says so. All others do not arrive.
PASSED: Mapping[str, set[str]] = {
    "haproxy-debian": {"value with a NUL", "bare LF after the size", "bare LF after the data", "bare LF in an extension"},
    "haproxy-wheel": set(),
    "envoy": {
        "length of 2^63",
        "name of 273 bytes",
        "name of 273 bytes, and a length",
        "value with a bare CR",
        "two hosts",
        "URL that names another host",
        "bare LF after the data",
        "data longer than its size",
        "trailer with a bare CR",
    },
}


@dataclass
class World:
    """An engine that leads everybody to one API server."""

    engine: Running
    upstream: Upstream

    def attack(self, data: bytes) -> tuple[list[int], list[Request]]:
        """Send bytes in which PATH stands for a path of their own; the statuses that came back, and what arrived."""
        path = f"/attack-{next(_numbers)}"
        statuses = []
        with self.engine.dial(None, verify=False) as client:
            client.wire.send(data.replace(b"PATH", path.encode()))
            with contextlib.suppress(OSError):
                client.wire.end()
            with contextlib.suppress(NoAnswer, OSError):
                while True:
                    statuses.append(client.answer(bodiless=data.startswith(b"HEAD")).status)
        for number in range(3):
            honest = f"{path}-honest-{number}"
            assert self.ask(honest).json["target"] == honest
        assert not self.upstream.seen("/smuggled")
        return statuses, [seen for seen in self.upstream.seen(path) if "honest" not in seen.path]

    def ask(self, path: str, *headers: str) -> Answer:
        """One request on a connection of its own."""
        return self.engine.ask(path, None, *headers, host="gate.test", verify=False)


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with home() as place, Upstream() as upstream:
        declared = {key: value for key, value in cluster(place.path, "one", upstream).items() if key != "hosts"}
        document = gate_file(place.path, declared)
        folder, _ = render(request.param, document, place)
        with engine_of(request.param, folder, document) as engine:
            engine.until(200, None, verify=False)
            yield World(engine, upstream)


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_does_not_arrive(world: World, name: str) -> None:
    statuses, arrived = world.attack(REFUSED[name])
    assert len(statuses) <= 1
    if name in PASSED[world.engine.engine]:
        assert len(arrived) == 1
        assert not arrived[0].values("x-remote-user")
        return
    assert not arrived, [one.head for one in arrived]
    assert not [status for status in statuses if status < 400]


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks_never_make_a_whole_request(world: World, name: str) -> None:
    _, arrived = world.attack(post(CHUNKED, body=BAD_CHUNKS[name]))
    whole = [one for one in arrived if one.complete]
    assert len(whole) == (name in PASSED[world.engine.engine])
    assert all(b"0\r\n" not in one.body for one in whole)


@pytest.mark.parametrize("value", ["Impersonate-User", "close, Authorization", "x-remote-group, IMPERSONATE-USER"])
def test_nobody_can_have_it_taken_away_who_is_calling(world: World, value: str) -> None:
    """A request that only an impersonated user was to make must not be made by who impersonates.

    Envoy removes what the Connection header names (RFC 9110, section 7.6.1), whatever it is; docs/targets.md says what follows.
    """
    path = f"/named-{next(_numbers)}"
    answer = world.ask(path, f"Connection: {value}", "Authorization: Bearer t", "Impersonate-User: joe")
    arrived = world.upstream.seen(path)
    assert (answer.status, len(arrived)) in ((400, 0), (200, 1))
    named = value.lower() if world.engine.engine == "envoy" else ""
    for one in arrived:
        assert one.values("authorization") == ([] if "authorization" in named else ["Bearer t"])
        assert one.values("impersonate-user") == ([] if "impersonate-user" in named else ["joe"])


@pytest.mark.parametrize("name", ["Impersonate_User", "X_Remote_User", "X-Remote_Group", "x_forwarded_for"])
def test_imitations_of_identity_headers_do_not_arrive(world: World, name: str) -> None:
    path = f"/twin-{next(_numbers)}"
    answer = world.ask(path, f"{name}: joe")
    assert answer.status == 400
    assert not world.upstream.seen(path)


def test_what_is_the_callers_own_passes_as_it_is(world: World) -> None:
    path = f"/own-{next(_numbers)}"
    own = ["Authorization: Bearer abc", "Impersonate-User: joe", "Impersonate-Group: a", "Impersonate-Group: b"]
    assert world.ask(path, *own).status == 200
    [arrived] = world.upstream.seen(path)
    assert arrived.values("impersonate-group") == ["a", "b"]
    assert (arrived.values("authorization"), arrived.values("impersonate-user")) == (["Bearer abc"], ["joe"])


def test_headers_that_are_too_large_get_a_status(world: World) -> None:
    size = 70_000 if world.engine.engine == "envoy" else 34_000
    answer = world.ask("/large", f"X-Large: {'a' * size}")
    assert (answer.status, answer.json["kind"]) == (431, "Status")
    assert world.ask("/as-large-as-it-may-be", f"X-Large: {'a' * 30_000}").status == 200


def test_an_exec_command_of_20000_characters_passes(world: World) -> None:
    target = f"/api/v1/namespaces/d/pods/p/exec?command={'x' * 20_000}"
    assert world.ask(target).status == 200
    assert world.upstream.requests[-1].target == target


def test_a_request_in_plain_http_is_not_answered_as_if_it_were_one(world: World) -> None:
    with socket.create_connection(("127.0.0.1", world.engine.port), timeout=20) as plain:
        plain.sendall(request("GET", "/plain"))
        with contextlib.suppress(OSError):
            assert b"200" not in plain.recv(4096)[:20]
    assert not world.upstream.seen("/plain")
