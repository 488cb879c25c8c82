"""What is rendered for other engines, run by them: which cluster a request reaches, and which certificate is shown."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509

from kubegate.system.network import free_port
from tests.support.engines import ENGINES, Running, check, engine_of, render
from tests.support.expose import home
from tests.support.rawhttp import Answer, NoAnswer
from tests.support.run import Document, cluster, front_leaf, gate_file, write_pair
from tests.support.tls import API_NAME, cluster_authority
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy


@dataclass
class World:
    """An engine with three clusters, and an API server of each."""

    engine: Running
    upstreams: dict[str, Upstream]

    def ask(self, host: str, *, sni: str | None = "one.test", listener: str = "main", version: str = "h1") -> Answer:
        """One request on a connection of its own, whose certificate is not looked at."""
        if version == "h2":
            with self.engine.dial2(sni, verify=False, listener=listener) as client:
                return client.ask("GET", "/", host=host)
        return self.engine.ask("/", sni, host=host, verify=False, listener=listener)

    def reached(self, answer: Answer) -> str:
        """The cluster that answered, or why none did."""
        if answer.status != 200:
            return f"{answer.status} {answer.json['reason']}"
        return next(name for name, one in self.upstreams.items() if one.port == answer.json["server"])


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """`main` opens TLS for two clusters; `mixed` passes one through, too, and has a default; `part` has one; `alone` no names."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(home())
        upstreams = {name: stack.enter_context(Upstream()) for name in ("one", "two", "sealed", "bare")}
        clusters = [
            cluster(
                place.path,
                "one",
                upstreams["one"],
                hosts=["one.test", "uno.test", "10.9.9.1", "fd00::1"],
                certificate=write_pair(place.path, "uno", front_leaf("one.test", "uno.test")),
            ),
            cluster(place.path, "two", upstreams["two"], hosts=["two.test", "10.9.9.2"]),
            cluster(place.path, "sealed", upstreams["sealed"], mode="passthrough", hosts=["sealed.test"]),
            {key: value for key, value in cluster(place.path, "bare", upstreams["bare"]).items() if key != "hosts"},
        ]
        document = gate_file(place.path, *clusters, listener={"clusters": ["one", "two"]})
        others: dict[str, Document] = {
            "mixed": {"clusters": ["one", "two", "sealed"], "defaultCluster": "two"},
            "part": {"clusters": ["one"], "defaultCluster": "one"},
            "alone": {"clusters": ["bare"]},
        }
        for name, more in others.items():
            document["listeners"].append({"name": name, "address": f"127.0.0.1:{free_port('127.0.0.1')}"} | more)
        folder, _ = render(request.param, document, place)
        done = check(request.param, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "arning" not in done.stderr.replace("[warning][main]", ""), done.stderr
        engine = stack.enter_context(engine_of(request.param, folder, document))
        for name in ("one", "two"):
            engine.until(200, f"{name}.test", verify=False)
        engine.until(200, None, listener="alone", verify=False)
        engine.until(200, "sealed.test", listener="mixed", verify=False)
        yield World(engine, upstreams)


@pytest.fixture(params=["main", "mixed"])
def listener(request: pytest.FixtureRequest) -> str:
    """A listener without and with a cluster that is passed through."""
    return str(request.param)


@pytest.mark.parametrize("sni", ["one.test", "two.test", "uno.test", "ONE.test", "two.test."])
def test_the_name_asked_for_in_tls_chooses(world: World, listener: str, version: str, sni: str) -> None:
    cluster = "two" if "two" in sni.lower() else "one"
    assert world.reached(world.ask(sni, sni=sni, listener=listener, version=version)) == cluster


@pytest.mark.parametrize(
    "host", ["one.test", "ONE.TEST:6443", "one.test.:6443", "uno.test", "127.0.0.1:6443", "10.9.9.2", "gate.example.com"]
)
def test_whoever_gives_the_name_in_tls_may_have_dialled_any_address_or_name(
    world: World, listener: str, version: str, host: str
) -> None:
    assert world.reached(world.ask(host, listener=listener, version=version)) == "one"


@pytest.mark.parametrize("host", ["two.test", "two.test:6443", "TWO.Test", "two.test.", "sealed.test"])
def test_a_host_that_is_another_cluster_is_misdirected(world: World, listener: str, version: str, host: str) -> None:
    answer = world.ask(host, listener=listener, version=version)
    assert (answer.status, answer.json["reason"]) == (421, "MisdirectedRequest")
    assert "another cluster" in answer.json["message"]
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize("host", ["two.test", "sealed.test"])
def test_a_host_that_only_another_listener_leads_to_is_misdirected_too(world: World, version: str, host: str) -> None:
    assert world.reached(world.ask(host, listener="part", version=version)) == "421 MisdirectedRequest"


@pytest.mark.parametrize("host", ["unknown.test", "one.test", "127.0.0.1:6443", "10.9.9.1"])
def test_an_unknown_name_in_tls_reaches_nobody_even_where_there_is_a_default(
    world: World, listener: str, version: str, host: str
) -> None:
    answer = world.ask(host, sni="unknown.test", listener=listener, version=version)
    assert (answer.status, answer.json["reason"]) == (421, "MisdirectedRequest")
    assert "tls-server-name" in answer.json["message"]


@pytest.mark.parametrize("sni", ["one.test.example.com", "xone.test", "one.tes", "first.invalid", "test"])
def test_a_name_that_only_looks_like_a_clusters_reaches_nobody(world: World, listener: str, sni: str) -> None:
    assert world.ask("one.test", sni=sni, listener=listener).status == 421


@pytest.mark.parametrize(
    ("host", "cluster"),
    [("one.test", "one"), ("TWO.test.:6443", "two"), ("10.9.9.1:6443", "one"), ("10.9.9.2", "two"), ("[fd00::1]:6443", "one")],
)
def test_without_a_name_in_tls_the_host_leads(world: World, listener: str, version: str, host: str, cluster: str) -> None:
    assert world.reached(world.ask(host, sni=None, listener=listener, version=version)) == cluster


@pytest.mark.parametrize("host", ["unknown.test", "127.0.0.1:6443", "10.9.9.9", "one.test.example.com"])
def test_without_any_known_name_the_default_cluster_is_reached_if_there_is_one(world: World, version: str, host: str) -> None:
    assert world.reached(world.ask(host, sni=None, listener="mixed", version=version)) == "two"
    assert world.reached(world.ask(host, sni=None, version=version)) == "421 MisdirectedRequest"


def test_without_a_name_in_tls_a_cluster_that_is_passed_through_cannot_be_reached(world: World, version: str) -> None:
    answer = world.ask("sealed.test", sni=None, listener="mixed", version=version)
    assert answer.status == 421
    assert "not opened here" in answer.json["message"]


def test_a_cluster_without_names_gets_everybody_of_its_listener(world: World, version: str) -> None:
    for sni in (None, "unknown.test"):
        assert world.reached(world.ask("anything.test", sni=sni, listener="alone", version=version)) == "bare"


def test_what_is_passed_through_shows_the_api_servers_own_certificate(world: World) -> None:
    with world.engine.dial("sealed.test", listener="mixed", trusted=cluster_authority(), verify=False) as connection:
        tls = connection.wire.tls
        assert tls is not None
        shown = x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
    assert API_NAME in names(shown)
    assert world.reached(world.ask("sealed.test", sni="sealed.test", listener="mixed")) == "sealed"


@pytest.mark.parametrize("sni", ["unknown.test", None])
def test_what_is_not_its_name_is_not_passed_through(world: World, sni: str | None) -> None:
    with contextlib.suppress(NoAnswer, OSError, ssl.SSLError):
        answer = world.ask("sealed.test", sni=sni, listener="mixed")
        assert answer.status == 421
    assert not [
        one for one in world.upstreams["sealed"].requests if one.path != "/until" and one.values("host") == ["unknown.test"]
    ]


@pytest.mark.parametrize(
    ("sni", "shown"), [("one.test", {"one.test", "uno.test"}), ("two.test", {"two.test"}), ("TWO.test", {"two.test"})]
)
def test_each_cluster_shows_its_own_certificate(world: World, listener: str, sni: str, shown: set[str]) -> None:
    with world.engine.dial(sni, listener=listener, verify=False) as connection:
        tls = connection.wire.tls
        assert tls is not None
        found = names(x509.load_der_x509_certificate(tls.getpeercert(True) or b""))
    assert found == shown


def test_tls_of_clients_is_verified_and_not_older_than_1_2(world: World) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        world.engine.dial("one.test", trusted=cluster_authority())
    assert world.engine.ask("/", "one.test").status == 200


def names(certificate: x509.Certificate) -> set[str]:
    """The DNS names of a certificate."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))
