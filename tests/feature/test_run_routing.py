"""Which cluster a request reaches: SNI chooses, the Host only where there is none, and nobody comes to another by mistake."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509

from kubegate.system.network import free_port
from tests.support.expose import Home, home
from tests.support.rawh2 import Refused
from tests.support.rawhttp import Answer, Client, request
from tests.support.run import Running, client, cluster, front_leaf, gate_file, run, write_pair
from tests.support.upstream import Upstream
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy

# `main` opens TLS for all that it leads to; `mixed` passes one cluster through as well and has a default; `part` has one cluster.
LISTENERS = ("main", "mixed")


@dataclass
class World:
    """A gate with three clusters, and an API server of each."""

    gate: Running
    upstreams: dict[str, Upstream]

    def ask(
        self, host: str | None, *, sni: str | None = "one.test", listener: str = "main", version: str = "h1", target: str = "/"
    ) -> Answer:
        """One request on a connection of its own, whose certificate is not looked at."""
        if version == "h2":
            with self.gate.dial2(sni, verify=False, listener=listener) as client:
                return client.ask("GET", target, host=host or "")
        with self.gate.dial(sni, verify=False, listener=listener) as client:
            return client.ask(request("GET", target, host=host))

    def reached(self, answer: Answer) -> str:
        """The cluster that answered, or why none did."""
        if answer.status != 200:
            return f"{answer.status} {answer.json['message']}"
        return next(name for name, one in self.upstreams.items() if one.port == answer.json["server"])


@pytest.fixture(scope="module")
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture(scope="module")
def world(place: Home) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(Upstream()) for name in ("one", "two", "sealed")}
        clusters = [
            cluster(
                place.path,
                "one",
                upstreams["one"],
                hosts=["one.test", "uno.test", "10.9.9.1", "fd00::1"],
                certificate=write_pair(place.path, "uno", front_leaf("one.test", "uno.test")),
            ),
            cluster(place.path, "two", upstreams["two"], hosts=["two.test", "10.9.9.2", "fd00::2"]),
            cluster(place.path, "sealed", upstreams["sealed"], mode="passthrough", hosts=["sealed.test", "10.9.9.3"]),
        ]
        document = gate_file(place.path, *clusters, listener={"clusters": ["one", "two"]})
        for name, more in {
            "mixed": {"clusters": ["one", "two", "sealed"], "defaultCluster": "two"},
            "part": {"clusters": ["one"], "defaultCluster": "one"},
        }.items():
            document["listeners"].append({"name": name, "address": f"127.0.0.1:{free_port('127.0.0.1')}"} | more)
        gate = stack.enter_context(run(document, place))
        for name in upstreams:
            gate.until_up(name)
        yield World(gate, upstreams)


@pytest.fixture(params=LISTENERS)
def listener(request: pytest.FixtureRequest) -> str:
    """A listener that leads to all clusters whose TLS it opens, without and with the hop that passing through costs."""
    return str(request.param)


@pytest.mark.parametrize("sni", ["one.test", "two.test", "uno.test", "ONE.test", "two.TEST"])
def test_the_name_asked_for_in_tls_chooses(world: World, listener: str, version: str, sni: str) -> None:
    cluster = "two" if "two" in sni.lower() else "one"
    assert world.reached(world.ask(sni, sni=sni, listener=listener, version=version)) == cluster


def test_a_name_in_tls_with_a_dot_at_its_end_is_the_same_name(world: World, listener: str) -> None:
    assert world.reached(world.ask("one.test", sni="one.test.", listener=listener)) == "one"


@pytest.mark.parametrize(
    "host",
    [
        "one.test:443",
        "ONE.TEST",
        "One.Test:6443",
        "one.test.",
        "one.test.:6443",
        "uno.test",
    ],
)
def test_a_host_is_compared_without_case_port_and_dot(world: World, listener: str, version: str, host: str) -> None:
    assert world.reached(world.ask(host, listener=listener, version=version)) == "one"
    assert world.reached(world.ask(host, sni=None, listener=listener, version=version)) == "one"


@pytest.mark.parametrize(
    "host",
    ["two.test", "two.test:6443", "TWO.Test", "two.test.", "Two.Test.:443", "two.test:", "sealed.test", "SEALED.test.:6443"],
)
def test_a_host_that_is_another_cluster_is_misdirected(world: World, listener: str, version: str, host: str) -> None:
    answer = world.ask(host, listener=listener, version=version)
    assert (answer.status, answer.json["reason"]) == (421, "MisdirectedRequest")
    assert "another cluster" in answer.json["message"]


def test_a_host_that_only_another_listener_leads_to_is_misdirected_too(world: World, version: str) -> None:
    for host in ("two.test", "sealed.test"):
        assert world.ask(host, listener="part", version=version).status == 421


@pytest.mark.parametrize("sni", ["two.test", "sealed.test", "unknown.test"])
def test_a_listener_leads_to_its_own_clusters_only(world: World, version: str, sni: str) -> None:
    answer = world.ask(sni, sni=sni, listener="part", version=version)
    assert answer.status == 421
    assert "tls-server-name" in answer.json["message"]


@pytest.mark.parametrize("host", ["two.test", "sealed.test"])
def test_without_a_name_in_tls_a_host_of_another_listener_is_not_led_to_the_default(
    world: World, version: str, host: str
) -> None:
    assert world.ask(host, sni=None, listener="part", version=version).status == 421


@pytest.mark.parametrize("host", ["unknown.test", "one.test", "two.test", "127.0.0.1:6443", "10.9.9.1"])
def test_an_unknown_name_in_tls_reaches_nobody_even_where_there_is_a_default(
    world: World, listener: str, version: str, host: str
) -> None:
    answer = world.ask(host, sni="unknown.test", listener=listener, version=version)
    assert (answer.status, answer.json["reason"]) == (421, "MisdirectedRequest")
    assert "tls-server-name" in answer.json["message"]


@pytest.mark.parametrize("sni", ["one.test.example.com", "xone.test", "one.tes", "first.invalid", "127.0.0.1.nip", "test"])
def test_a_name_that_only_looks_like_a_clusters_reaches_nobody(world: World, listener: str, sni: str) -> None:
    assert world.ask("one.test", sni=sni, listener=listener).status == 421


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:6443",
        "[::1]",
        "[::1]:6443",
        "[2001:db8::1]:443",
        "10.9.9.2",
        "10.9.9.3:6443",
        "[fd00::2]:6443",
        "gate.example.com",
        "unknown.test:6443",
    ],
)
def test_whoever_gives_the_name_in_tls_may_have_dialled_any_address_or_name(
    world: World, listener: str, version: str, host: str
) -> None:
    """As kubectl with `tls-server-name`: the URL has the address of the gate, or a name that leads to it."""
    assert world.reached(world.ask(host, listener=listener, version=version)) == "one"


@pytest.mark.parametrize(
    ("host", "cluster"),
    [
        ("one.test", "one"),
        ("TWO.test.:6443", "two"),
        ("10.9.9.1:6443", "one"),
        ("10.9.9.2", "two"),
        ("[fd00::1]:6443", "one"),
        ("[fd00::2]", "two"),
        ("[FD00::2]:443", "two"),
        ("[fd00:0:0:0:0:0:0:2]:443", "two"),
        ("[fd00:0000::0002]", "two"),
    ],
)
def test_without_a_name_in_tls_the_host_leads(world: World, listener: str, version: str, host: str, cluster: str) -> None:
    assert world.reached(world.ask(host, sni=None, listener=listener, version=version)) == cluster


@pytest.mark.parametrize("host", ["unknown.test", "127.0.0.1:6443", "[::1]:6443", "10.9.9.9", "10.9.9", "one.test.example.com"])
def test_without_any_known_name_the_default_cluster_is_reached_if_there_is_one(world: World, version: str, host: str) -> None:
    assert world.reached(world.ask(host, sni=None, listener="mixed", version=version)) == "two"
    answer = world.ask(host, sni=None, version=version)
    assert (answer.status, answer.json["reason"]) == (421, "MisdirectedRequest")
    assert "tls-server-name" in answer.json["message"]


@pytest.mark.parametrize("host", ["sealed.test", "Sealed.Test.:6443", "10.9.9.3"])
def test_without_a_name_in_tls_a_cluster_that_is_passed_through_cannot_be_reached(world: World, version: str, host: str) -> None:
    answer = world.ask(host, sni=None, listener="mixed", version=version)
    assert answer.status == 421
    assert "not opened here" in answer.json["message"]
    assert "tls-server-name" in answer.json["message"]


def test_the_url_in_full_counts_as_the_host(world: World, listener: str) -> None:
    own = request("GET", "https://one.test/in-full", host="one.test")
    other = request("GET", "https://two.test/in-full", host="two.test")
    for sni in ("one.test", None):
        with world.gate.dial(sni, verify=False, listener=listener) as connection:
            assert world.reached(connection.ask(own)) == "one"
    with world.gate.dial("one.test", listener=listener) as connection:
        assert connection.ask(other).status == 421


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("https://two.test/", "one.test"),
        ("https://one.test/", "two.test"),
        ("https://two.test:6443/", "one.test"),
        ("https://one.test@two.test/", "one.test"),
        ("http://two.test/", "one.test"),
    ],
)
def test_a_url_in_full_that_contradicts_the_host_is_refused(world: World, listener: str, target: str, host: str) -> None:
    for sni in ("one.test", None):
        with world.gate.dial(sni, verify=False, listener=listener) as connection:
            assert connection.ask(request("GET", target, host=host)).status in (400, 421)


@pytest.mark.parametrize(
    "host",
    [
        "one.test@two.test",
        "two.test@one.test",
        "one.test, two.test",
        "one.test two.test",
        "two.test/x",
        "two.test::1",
        "[two.test]",
    ],
)
@pytest.mark.parametrize("sni", ["one.test", None])
def test_a_host_that_is_none_leads_to_no_other_cluster(world: World, version: str, host: str, sni: str | None) -> None:
    """A Host that API servers would not take apart either: it may pass where the name in TLS chose, and nowhere else."""
    try:
        answer = world.ask(host, sni=sni, version=version)
    except Refused:
        return
    assert answer.status in (400, 421) or (sni and world.reached(answer) == "one")


def test_of_two_names_in_a_request_of_http_2_none_leads_elsewhere(world: World, listener: str) -> None:
    for authority, host in (("one.test", "two.test"), ("two.test", "one.test")):
        with world.gate.dial2("one.test", listener=listener) as connection:
            try:
                answer = connection.ask("GET", "/two-names", ("host", host), host=authority)
            except Refused:
                continue
            assert answer.status in (400, 421) or world.reached(answer) == "one"
    assert all(seen.values("host") == ["one.test"] for seen in world.upstreams["one"].seen("/two-names"))
    assert not world.upstreams["two"].seen("/two-names")


def test_one_connection_of_http_2_does_not_serve_two_clusters(world: World, listener: str) -> None:
    """Browsers reuse a connection for each name of its certificate, and dial anew when they are told 421."""
    with world.gate.dial2("one.test", listener=listener) as connection:
        assert world.reached(connection.ask("GET", "/", host="one.test")) == "one"
        assert connection.ask("GET", "/", host="two.test").status == 421
        assert world.reached(connection.ask("GET", "/", host="uno.test")) == "one"


def test_a_refusal_ends_a_connection_of_http_1(world: World) -> None:
    with world.gate.dial("one.test") as connection:
        assert connection.ask(request("GET", "/", host="two.test")).header("connection") == "close"
        assert connection.ended()


@dataclass(frozen=True)
class Shaken:
    """What became of a TLS connection: the names of the certificate that it is known by, and who answered."""

    names: tuple[str, ...]
    resumed: bool
    reached: str


def shaken(
    world: World,
    name: str | None,
    listener: str,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    before: tuple[ssl.SSLContext, ssl.SSLSession] | None = None,
) -> tuple[Shaken, tuple[ssl.SSLContext, ssl.SSLSession]]:
    """A connection that asks for `name` and then, as its Host, for an address; and what resumes it, if `before` it did not."""
    context = before[0] if before else client(verify=False)
    context.minimum_version = context.maximum_version = version
    address = ("127.0.0.1", world.gate.port_of(listener))
    wire = Wire(socket.create_connection(address), context, name=name, session=before[1] if before else None)
    with Client(wire) as connection:
        answer = connection.ask(request("GET", "/", host="127.0.0.1"))
        assert wire.tls is not None
        certificate = x509.load_der_x509_certificate(wire.tls.getpeercert(True) or b"")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        session = wire.tls.session
        assert session is not None
        found = tuple(names.get_values_for_type(x509.DNSName))
        return Shaken(found, bool(wire.tls.session_reused), world.reached(answer)), (context, session)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("one.test", ("one.test", "uno.test")),
        ("UNO.test", ("one.test", "uno.test")),
        ("two.test", ("two.test",)),
        ("Two.Test", ("two.test",)),
    ],
)
def test_each_cluster_shows_its_own_certificate(world: World, listener: str, name: str, names: tuple[str, ...]) -> None:
    assert shaken(world, name, listener)[0].names == names


@pytest.mark.parametrize("name", [None, "unknown.test", "first.invalid", "test"])
def test_who_asks_for_no_known_name_is_shown_the_certificate_of_the_default_cluster_or_the_first(
    world: World, name: str | None
) -> None:
    assert shaken(world, name, "mixed")[0].names == ("two.test",)
    assert shaken(world, name, "main")[0].names == ("one.test", "uno.test")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_connection_leads_where_it_led(world: World, listener: str, version: ssl.TLSVersion) -> None:
    for name in ("one.test", "two.test"):
        first, session = shaken(world, name, listener, version)
        again, _ = shaken(world, name, listener, version, session)
        assert again == Shaken(first.names, True, first.reached)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("first", "second"), [("one.test", "two.test"), ("two.test", "one.test"), ("one.test", "unknown.test")])
def test_a_connection_resumed_by_another_name_leads_to_none_but_these_two(
    world: World, listener: str, version: ssl.TLSVersion, first: str, second: str
) -> None:
    """A session of TLS 1.2 has its name for ever; one of TLS 1.3 has the name that is asked for now."""
    before, session = shaken(world, first, listener, version)
    after, _ = shaken(world, second, listener, version, session)
    named = first if version is ssl.TLSVersion.TLSv1_2 else second
    expected = {"one.test": "one", "two.test": "two"}.get(named, "421")
    assert after.reached[:3] == expected
    assert after.names == before.names


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_host_is_held_against_a_resumed_connection_too(world: World, listener: str, version: ssl.TLSVersion) -> None:
    _, (context, session) = shaken(world, "one.test", listener, version)
    wire = Wire(socket.create_connection(("127.0.0.1", world.gate.port_of(listener))), context, name="one.test", session=session)
    with Client(wire) as connection:
        assert wire.tls is not None
        assert wire.tls.session_reused
        assert connection.ask(request("GET", "/", host="two.test")).status == 421
