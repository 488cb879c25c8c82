"""The access log: a line of JSON for each request, whatever it was made of, and none of what callers must keep for themselves."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.expose import home
from tests.support.rawhttp import request
from tests.support.run import Running, cluster, gate_file, run
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

TOKEN = "eyJhbGciOiJub25lIn0.c2VjcmV0LXRva2Vu.c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def logged() -> Iterator[tuple[Running, Path]]:
    """A gate that writes one, and the file."""
    with home() as person, Upstream() as upstream:
        file = person.path / "access.json"
        declared = gate_file(person.path, cluster(person.path, "one", upstream), accessLog="access.json")
        with run(declared, person) as gate:
            yield gate, file


def lines(file: Path, marked: str) -> list[dict[str, Any]]:
    """The lines of requests with this mark in their target; every line must be JSON, but for HAProxy's word on a reload."""
    found = [json.loads(line) for line in file.read_bytes().splitlines() if not line.startswith(b"Proxy main stopped ")]
    return [line for line in found if marked in line.get("uri", "")]


@pytest.mark.parametrize(
    ("mark", "method", "agent", "status"),
    [
        ("plain", "GET", "kubectl/v1", 200),
        ("quotes", "GET", '"}, {"status":"\\" \\u0000 \x1b[31m', 200),
        ("bytes", "GET", "\xff\xfe\x80 not UTF-8", 200),
        ("long", "GET", '"' * 5000, 200),
        ("refused", "TRACE", "x", 405),
        ("verb", "V" * 200, "x", 405),
    ],
)
def test_a_request_is_a_line(logged: tuple[Running, Path], mark: str, method: str, agent: str, status: int) -> None:
    gate, file = logged
    with gate.dial() as client:
        headers = (f"User-Agent: {agent}", f"Authorization: Bearer {TOKEN}")
        assert client.ask(request(method, f"/{mark}?q=%22", *headers, host="one.test")).status == status
    eventually(lambda: lines(file, f"/{mark}"), "the line is written")
    [line] = lines(file, f"/{mark}")
    assert (line["status"], line["source"], line["uri"]) == (status, "127.0.0.1", f"/{mark}?q=%22")
    assert TOKEN not in file.read_text()


def test_it_is_the_users_own_and_goes_on_after_a_reload(logged: tuple[Running, Path]) -> None:
    gate, file = logged
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": "6m"}))
    assert gate.ask("/after-the-reload").status == 200
    eventually(lambda: lines(file, "/after-the-reload"), "the line is written")


def test_whoever_starts_haproxy_again_writes_behind_what_is_there() -> None:
    with home() as person, Upstream() as upstream:
        file = person.path / "access.json"
        with run(gate_file(person.path, cluster(person.path, "one", upstream), accessLog="access.json"), person) as gate:
            written(gate, file, "/first")
            gate.stop()
            again = gate.again()
            written(again, file, "/second")
            again.kill()
            heir = again.again()
            try:
                # Of the process that wrote this, the heir has nothing.
                written(heir, file, "/third")
                heir.haproxy.kill()
                heir.wait_for("HAProxy is back")
                written(heir, file, "/fourth")
            finally:
                heir.end()
        assert [len(lines(file, name)) for name in ("/first", "/second", "/third", "/fourth")] == [1, 1, 1, 1]


def written(gate: Running, file: Path, path: str) -> None:
    """One request, and its line in the log."""
    assert gate.ask(path).status == 200
    eventually(lambda: lines(file, path), "the line is written")
