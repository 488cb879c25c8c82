"""Whom the gate takes for an API server: whoever proves it, unless the operator spells out that nobody has to."""

from collections.abc import Iterator

import pytest

from tests.support.expose import Home, home
from tests.support.forge import forge
from tests.support.run import Document, cluster, gate_file, run
from tests.support.tls import authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

STRANGER = forge("stranger", authority("another CA"), names=["stranger.test"])


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


def unverified(place: Home, upstream: Upstream) -> Document:
    declared = cluster(place.path, "one", upstream)
    declared["upstream"] = {"servers": [str(upstream.endpoint)], "verification": "none"}
    return declared


def test_verification_that_is_switched_off_is_warned_about_at_each_start_and_in_the_status(place: Home) -> None:
    with Upstream(leaf=STRANGER) as stranger:
        document = gate_file(place.path, unverified(place, stranger))
        for times in (1, 2):
            with run(document, place) as gate:
                gate.until_up("one")
                assert gate.ask("/").status == 200
                assert gate.said.count("nobody verifies its API servers (verification: none)") == times
                [warning] = [one for one in gate.status().warnings if one.code == "insecure-upstream"]
                assert "receives the callers' tokens" in warning.message
                assert gate.cluster("one").verified_name is None


def test_verification_that_is_switched_off_while_it_runs_is_warned_about_then(place: Home) -> None:
    with Upstream() as upstream, run(gate_file(place.path, cluster(place.path, "one", upstream)), place) as gate:
        assert "nobody verifies" not in gate.said
        declared = unverified(place, upstream)
        gate.edit(lambda document: document["clusters"].__setitem__(0, declared))
        gate.wait_for("nobody verifies its API servers (verification: none)")
        assert gate.ask("/").status == 200
        gate.edit(lambda document: document["clusters"].__setitem__(0, cluster(place.path, "one", upstream)))
        eventually(lambda: not [one for one in gate.status().warnings if one.code == "insecure-upstream"])
        assert gate.ask("/").status == 200


def test_whoever_does_not_prove_it_gets_nothing_unless_that_is_switched_off(place: Home) -> None:
    """Beside an API server that does; the stranger has its address, and another CA."""
    with Upstream(leaf=STRANGER) as stranger, Upstream() as honest:
        document = gate_file(place.path, cluster(place.path, "one", stranger), cluster(place.path, "two", honest))
        with run(document, place) as gate:
            gate.until_up("two")
            eventually(lambda: all(server.state == "down" for server in gate.cluster("one").servers))
            assert gate.ask("/").status == 503
            assert not stranger.requests
            assert not stranger.health_checks
