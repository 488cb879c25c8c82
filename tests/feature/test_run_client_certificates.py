"""A listener that asks for client certificates lets in whoever shows a good one, and nobody else; revocation binds at once."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kubegate.pki.ca import Authority
from kubegate.system.network import free_port
from tests.support.clients import clients_authority, declared, dial, dial2, fingerprint, holding, person, revoke, twin
from tests.support.commands import facts, said
from tests.support.expose import Home, home
from tests.support.forge import Forged, forge
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Running, cluster, front_leaf, gate_file, run, write_pair
from tests.support.tls import authority, front_authority
from tests.support.upstream import Exchange, Upstream, eventually
from tests.support.wire import PATIENCE_SECONDS, Wire

pytestmark = pytest.mark.haproxy

ALICE, BOB, GONE = person("alice"), person("bob"), person("gone")
BAD = {
    "of another CA": person("alice", authority("another CA")),
    "of a CA that only has the name": person("alice", authority("clients test CA")),
    "signed by itself": forge("alice"),
    "expired": person("alice", since=timedelta(days=9), until=timedelta(days=-1)),
    "not valid yet": person("alice", since=timedelta(days=-1)),
    "for servers": forge("alice", clients_authority(), names=["alice.test"]),
}


BETWEEN = forge("between", clients_authority(), ca=True, usages=None)
OLD_BETWEEN = forge("between", clients_authority(), ca=True, usages=None, since=timedelta(days=9), until=timedelta(days=-1))
BOUND = Forged((bound := Authority.create(["example.test"])).certificate.parsed, bound.key)
# The certificate, and what is shown with it.
CHAINS = {
    "of somebody who has a certificate himself": (person("mallory", ALICE), ALICE),
    "of an intermediate that has expired": (person("mallory", OLD_BETWEEN), OLD_BETWEEN),
    "of a CA that is not there, with another": (person("mallory", authority("another CA")), clients_authority()),
    "of a root that was brought along": (person("mallory", (brought := authority("brought along"))), brought),
    "of an intermediate that nobody trusts": (person("mallory", (alien := forge("between", brought, ca=True))), alien, brought),
}


def begun(exchange: Exchange) -> None:
    """A watch that goes on until its client leaves."""
    exchange.begin()
    exchange.chunk(b"begun")
    exchange.receive()
    exchange.leave()


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as place:
        yield place


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.at("/watch", begun)
        yield upstream


@contextlib.contextmanager
def guarded(place: Home, upstream: Upstream, *revoked: Forged, mode: str = "required") -> Iterator[Running]:
    """A gate whose only listener asks for certificates."""
    document = gate_file(place.path, cluster(place.path, "one", upstream), listener=declared(place, *revoked, mode=mode))
    with run(document, place) as gate:
        gate.until_up("one")
        yield gate


@pytest.fixture
def gate(place: Home, upstream: Upstream) -> Iterator[Running]:
    with guarded(place, upstream, GONE) as gate:
        yield gate


def asked(gate: Running, leaf: Forged | None, target: str = "/api") -> Answer:
    """One request on a connection of its own."""
    with dial(gate, leaf) as client:
        return client.ask(request(target=target, host="one.test"))


def again(client: Client, target: str = "/api") -> int:
    """The status of one more request."""
    return client.ask(request(target=target, host="one.test")).status


def watch(gate: Running, leaf: Forged) -> Client:
    """A watch that has begun."""
    client = dial(gate, leaf)
    client.wire.send(request("GET", "/watch?watch=1", host="one.test"))
    assert client.head().status == 200
    assert client.chunk() == b"begun"
    return client


def ends(client: Client) -> bool:
    """Whether a stream is ended by the gate."""
    try:
        return not client.chunk()
    except NoAnswer:
        return True


def test_a_good_certificate_lets_in_and_goes_no_further(gate: Running, upstream: Upstream) -> None:
    assert asked(gate, ALICE, "/mine").status == 200
    with dial2(gate, ALICE) as client:
        assert client.ask("GET", "/mine", host="one.test").status == 200
    for seen in upstream.wait_for("/mine", 2):
        head = seen.head.decode("latin-1").lower()
        assert "alice" not in head
        assert fingerprint(ALICE).lower() not in head
        assert not [name for name, _ in seen.headers if "cert" in name or "ssl" in name or name.startswith("x-remote")]


def test_without_a_certificate_nobody_gets_in(gate: Running, upstream: Upstream) -> None:
    answer = asked(gate, None, "/none")
    assert (answer.status, answer.json["kind"], answer.json["reason"]) == (401, "Status", "Unauthorized")
    assert "client certificate" in answer.json["message"]
    with dial2(gate, None) as client:
        assert client.ask("GET", "/none", host="one.test").status == 401
    assert not upstream.seen("/none")


@pytest.mark.parametrize("what", BAD)
def test_a_bad_certificate_does_not_let_in(gate: Running, upstream: Upstream, what: str) -> None:
    answer = asked(gate, BAD[what], "/bad")
    assert (answer.status, answer.json["kind"]) == (401, "Status")
    assert not upstream.seen("/bad")
    assert asked(gate, BOB, "/good").status == 200


@pytest.mark.parametrize("what", CHAINS)
def test_a_chain_that_does_not_hold_does_not_let_in(gate: Running, upstream: Upstream, what: str) -> None:
    leaf, *issuers = CHAINS[what]
    assert turned_away(gate, leaf, *issuers)
    assert not upstream.seen("/chain")


def turned_away(gate: Running, leaf: Forged, *issuers: Forged) -> bool:
    """Whether a chain is refused: by an answer, or where OpenSSL does not go on to look at it, in the handshake."""
    try:
        with Client.connect("127.0.0.1", gate.port, holding(leaf, *issuers), "one.test") as client:
            return client.ask(request(target="/chain", host="one.test")).status == 401
    except ssl.SSLError as error:
        return "ALERT" in str(error)


def test_a_chain_that_holds_lets_in(gate: Running) -> None:
    context = holding(person("carol", BETWEEN), BETWEEN)
    with Client.connect("127.0.0.1", gate.port, context, "one.test") as client:
        assert again(client) == 200
    # Without its issuer nobody can tell.
    assert asked(gate, person("carol", BETWEEN)).status == 401


def test_a_ca_that_is_bound_to_names_lets_in_users(place: Home, gate: Running) -> None:
    """kubegate's own CAs carry name constraints; who is a user is bound by none, whoever looks like a host of others is."""
    (place.path / "clients.crt").write_bytes(BOUND.pem)
    gate.wait_for("another CA of client certificates")
    users = ["alice", "system:node:one", "alice@example.com", "host.example.test"]
    assert [asked(gate, person(user, BOUND)).status for user in users] == [200] * 4
    assert turned_away(gate, person("host.example.com", BOUND))


def test_a_revoked_certificate_does_not_let_in(gate: Running, upstream: Upstream) -> None:
    answer = asked(gate, GONE, "/gone")
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert "revoked" in answer.json["message"]
    assert not upstream.seen("/gone")


def test_what_is_revoked_while_it_runs_is_refused_on_connections_that_are_open(place: Home, gate: Running) -> None:
    with dial(gate, ALICE) as alice, dial2(gate, ALICE) as other, dial(gate, BOB) as bob:
        # The second is an ordinary one, which meets fewer rules.
        assert [again(alice), again(alice), again(bob), again(bob)] == [200] * 4
        assert other.ask("GET", "/api", host="one.test").status == 200
        revoke(place, GONE, ALICE)
        gate.wait_for("1 client certificate is revoked")
        assert again(alice) == 403
        assert other.ask("GET", "/api", host="one.test").status == 403
        assert again(bob) == 200
    assert asked(gate, ALICE).status == 403
    status = gate.status()
    assert (status.reloads, status.live_changes) == (0, 1)
    revoke(place, GONE)
    gate.wait_for("NOT REVOKED any more")
    assert asked(gate, ALICE).status == 200
    assert asked(gate, GONE).status == 403
    assert gate.status().reloads == 0


def test_the_status_and_the_metrics_tell(place: Home, upstream: Upstream) -> None:
    port = free_port("127.0.0.1")
    document = gate_file(place.path, cluster(place.path, "one", upstream), listener=declared(place, GONE))
    with run(document | {"metrics": {"address": f"127.0.0.1:{port}"}}, place) as gate:
        [listener] = gate.status().listeners
        found = listener.client_certificates
        assert found is not None
        assert (found.mode, found.revoked, found.days_left) == ("required", 1, 29)
        assert "client certificates required, their CA has 29 days left, 1 of them revoked" in said("status", home=place)
        with httpx.Client(trust_env=False) as asking:
            text = asking.get(f"http://127.0.0.1:{port}/metrics/kubegate").text
        end = int(clients_authority().certificate.not_valid_after_utc.timestamp())
        assert f'kubegate_client_ca_expires_timestamp_seconds{{listener="main"}} {end}' in text
        assert 'kubegate_client_certificates_revoked{listener="main"} 1' in text


def test_an_heir_of_the_control_plane_goes_on_with_it(place: Home, gate: Running) -> None:
    """Whoever kills it cannot undo what is revoked, and the next one knows what runs."""
    with watch(gate, ALICE) as alice, watch(gate, BOB):
        os.kill(gate.process.pid, signal.SIGKILL)
        gate.process.wait(PATIENCE_SECONDS)
        assert [asked(gate, leaf).status for leaf in (None, BOB, GONE)] == [401, 200, 403]
        revoke(place, GONE, ALICE)
        heir = Running(gate.file, place)
        try:
            heir.until_running()
            heir.wait_for("1 open streams were ended")
            assert ends(alice)
            assert [asked(heir, leaf).status for leaf in (ALICE, BOB, GONE)] == [403, 200, 403]
            assert heir.status().reloads == 0
        finally:
            heir.end()


def test_what_people_type(place: Home, upstream: Upstream) -> None:
    """A CA that was made by command, its list followed in its folder, and curl as the client."""
    ca = place.path / "ca"
    facts("certs", "ca", "init", str(ca), home=place)
    for user in ("alice", "bob"):
        facts("certs", "issue", "client", "--ca", str(ca), "--user", user, "--out", str(place.path / user), home=place)
    listener = {"clientCertificates": {"ca": "ca/ca.crt", "revoked": "ca/revoked"}}
    with run(gate_file(place.path, cluster(place.path, "one", upstream), listener=listener), place) as gate:
        gate.until_up("one")
        (place.path / "front.crt").write_bytes(front_authority().pem)
        assert [_curl(gate, user) for user in ("", "alice", "bob")] == ["401", "200", "200"]
        facts("certs", "revoke", "alice", "--ca", str(ca), home=place)
        gate.wait_for("1 client certificate is revoked")
        assert [_curl(gate, user) for user in ("", "alice", "bob")] == ["401", "403", "200"]
        assert gate.status().reloads == 0


def test_a_revoked_certificate_in_its_other_form(place: Home, upstream: Upstream) -> None:
    """Whoever has a certificate can write its ECDSA signature in two ways, of which either is valid."""
    ca = place.path / "ca"
    facts("certs", "ca", "init", str(ca), home=place)
    facts("certs", "issue", "client", "--ca", str(ca), "--user", "alice", "--out", str(place.path / "alice"), home=place)
    alice = x509.load_pem_x509_certificate((place.path / "alice.crt").read_bytes())
    other = twin(alice, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
    (place.path / "twin.crt").write_bytes(other.public_bytes(serialization.Encoding.PEM))
    (place.path / "twin.key").write_bytes((place.path / "alice.key").read_bytes())
    listener = {"clientCertificates": {"ca": "ca/ca.crt", "revoked": "ca/revoked"}}
    with run(gate_file(place.path, cluster(place.path, "one", upstream), listener=listener), place) as gate:
        gate.until_up("one")
        (place.path / "front.crt").write_bytes(front_authority().pem)
        assert [_curl(gate, user) for user in ("alice", "twin")] == ["200", "200"]
        facts("certs", "revoke", "alice", "--ca", str(ca), home=place)
        gate.wait_for("1 client certificate is revoked")
        assert [_curl(gate, user) for user in ("alice", "twin")] == ["403", "403"]


def _curl(gate: Running, user: str) -> str:
    """The status that somebody gets."""
    folder = gate.file.parent
    pair = ["--cert", f"{folder}/{user}.crt", "--key", f"{folder}/{user}.key"] if user else []
    place = f"one.test:{gate.port}"
    command = ["curl", "-q", "-sS", "--noproxy", "*", "--cacert", f"{folder}/front.crt", "--resolve", f"{place}:127.0.0.1", *pair]
    done = subprocess.run(
        [*command, "-o", os.devnull, "-w", "%{http_code}", f"https://{place}/api"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout


def test_many_are_revoked_at_once(place: Home, gate: Running) -> None:
    others = "".join(f"{number:064X} 1764000000 CN=x\n" for number in range(5000))
    fresh = place.path / "revoked.new"
    fresh.write_text(f"{others}{fingerprint(ALICE)} 1764000000 CN=alice\n")
    fresh.replace(place.path / "revoked")
    gate.wait_for("5001 client certificates are revoked")
    assert [asked(gate, leaf).status for leaf in (ALICE, BOB, GONE)] == [403, 200, 200]
    assert gate.status().reloads == 0


def test_streams_of_a_revoked_certificate_are_ended_in_all_workers(place: Home, gate: Running) -> None:
    with contextlib.ExitStack() as stack:
        cut, living = [stack.enter_context(watch(gate, ALICE))], [stack.enter_context(watch(gate, BOB))]
        held = stack.enter_context(dial2(gate, ALICE))
        stream = held.start("GET", "/watch?watch=1", host="one.test")
        assert held.head(stream).status == 200
        gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": "7m"}))
        assert len(gate.status().old_workers) == 1
        cut.append(stack.enter_context(watch(gate, ALICE)))
        living.append(stack.enter_context(watch(gate, BOB)))
        revoke(place, GONE, ALICE)
        gate.wait_for("3 open streams were ended")
        assert [ends(one) for one in cut] == [True, True]
        # The connection that its worker keeps has learned it, too.
        with contextlib.suppress(NoAnswer, OSError):
            assert held.ask("GET", "/after", host="one.test").status == 403
        for one in living:
            one.wire.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                one.wire.receive()
    assert gate.status().streams_ended == 3


def test_a_connection_does_not_outlive_its_certificate(gate: Running) -> None:
    soon = person("soon", until=timedelta(seconds=4))
    with dial(gate, soon) as client:
        assert [again(client), again(client)] == [200, 200]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := again(client)) == 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert status == 401


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("tickets", [True, False])
def test_no_session_is_resumed(gate: Running, version: ssl.TLSVersion, tickets: bool) -> None:
    context = holding(ALICE, tickets=tickets)
    context.minimum_version = context.maximum_version = version
    session, resumed = _session(gate, context, None)
    assert not resumed
    assert not _session(gate, context, session)[1]


def _session(
    gate: Running, context: ssl.SSLContext, session: ssl.SSLSession | None, port: int = 0
) -> tuple[ssl.SSLSession | None, bool]:
    """The session of a new connection, after an answer, and whether it was resumed."""
    dialled = socket.create_connection(("127.0.0.1", port or gate.port), PATIENCE_SECONDS)
    with Wire(dialled, context, name="one.test", session=session) as wire:
        wire.send(request(host="one.test"))
        assert wire.receive().startswith(b"HTTP/1.1 ")
        assert wire.tls is not None
        return wire.tls.session, bool(wire.tls.session_reused)


def test_a_session_of_another_listener_lets_nobody_in(place: Home, upstream: Upstream) -> None:
    """Beside it sessions are resumed as ever; what was resumed there is worth nothing here."""
    document = gate_file(place.path, cluster(place.path, "one", upstream), listener=declared(place))
    port = free_port("127.0.0.1")
    document["listeners"].append({"name": "open", "address": f"127.0.0.1:{port}"})
    with run(document, place) as gate:
        gate.until_up("one")
        context = holding(None)
        session, _ = _session(gate, context, None, port)
        assert session is not None
        assert _session(gate, context, session, port)[1]
        assert not _session(gate, context, session)[1]
        assert asked(gate, None).status == 401


def test_where_it_is_optional_only_a_bad_one_is_refused(place: Home, upstream: Upstream) -> None:
    with guarded(place, upstream, GONE, mode="optional") as gate:
        assert asked(gate, None).status == 200
        assert asked(gate, ALICE).status == 200
        assert asked(gate, GONE).status == 403
        assert asked(gate, BAD["of another CA"]).status == 401
        assert asked(gate, BAD["expired"]).status == 401


def test_a_list_that_cannot_be_read_is_refused_and_the_old_one_counts_on(place: Home, gate: Running) -> None:
    (place.path / "revoked").write_text("not a fingerprint\n")
    eventually(lambda: gate.status().refused, "it is refused")
    [found] = gate.status().refused
    assert found.code == "revoked.line"
    assert "listeners[main].clientCertificates.revoked" in found.where
    assert [asked(gate, leaf).status for leaf in (ALICE, GONE)] == [200, 403]
    (place.path / "revoked").unlink()
    eventually(lambda: [one.code for one in gate.status().refused] == ["file.unreadable"], "it is missed")
    assert [asked(gate, leaf).status for leaf in (ALICE, GONE)] == [200, 403]
    revoke(place, ALICE)
    eventually(lambda: not gate.status().refused, "it is taken")
    assert [asked(gate, leaf).status for leaf in (ALICE, GONE)] == [403, 200]


def test_what_was_revoked_is_so_after_a_crash_and_a_reload(place: Home, gate: Running) -> None:
    revoke(place, GONE, ALICE)
    gate.wait_for("1 client certificate is revoked")
    os.kill(gate.haproxy.pid, signal.SIGKILL)
    gate.wait_for("HAProxy is back")
    eventually(lambda: _answers(gate), "it serves again")
    assert [asked(gate, leaf).status for leaf in (ALICE, BOB, GONE)] == [403, 200, 403]
    gate.edit(lambda document: document["clusters"][0].update(timeouts={"request": "7m"}))
    assert [asked(gate, leaf).status for leaf in (ALICE, BOB, GONE)] == [403, 200, 403]


def _answers(gate: Running) -> bool:
    try:
        return asked(gate, BOB).status == 200
    except (OSError, NoAnswer):
        return False


def test_a_ca_that_is_trusted_no_more_ends_its_streams(place: Home, gate: Running) -> None:
    other = authority("next clients CA")
    carol = person("carol", other)
    with watch(gate, ALICE) as kept:
        (place.path / "clients.crt").write_bytes(clients_authority().pem + other.pem)
        gate.wait_for("another CA of client certificates")
        assert [asked(gate, leaf).status for leaf in (ALICE, carol)] == [200, 200]
        assert gate.status().streams_ended == 0
        (place.path / "clients.crt").write_bytes(other.pem)
        gate.wait_for("another CA of client certificates", times=2)
        assert [asked(gate, leaf).status for leaf in (ALICE, carol)] == [401, 200]
        assert ends(kept)


def test_a_listener_that_begins_to_ask_ends_what_was_let_in_without(place: Home, upstream: Upstream) -> None:
    with run(gate_file(place.path, cluster(place.path, "one", upstream)), place) as gate:
        gate.until_up("one")
        asking = declared(place)
        with watch(gate, ALICE) as before:
            gate.edit(lambda document: document["listeners"][0].update(asking))
            assert ends(before)
        assert [asked(gate, leaf).status for leaf in (None, ALICE)] == [401, 200]


def test_the_certificate_of_the_gate_is_renewed_and_clients_are_asked_all_the_same(place: Home, gate: Running) -> None:
    write_pair(place.path, "one", front_leaf("one.test", "127.0.0.1"))
    gate.wait_for("another certificate for one.test")
    assert [asked(gate, leaf).status for leaf in (None, ALICE, GONE)] == [401, 200, 403]
