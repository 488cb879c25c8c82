"""Discovered API servers: the EndpointSlices of a cluster, followed as its members come and go, and asked for with care."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.expose import Home, kubeconfig, kubegate
from tests.support.forge import forge
from tests.support.member import SLICES, TOKEN, Member, says, silent, status
from tests.support.rawhttp import request as ask
from tests.support.run import Document, Running, front_leaf, gate_file, run, write_pair
from tests.support.tls import API_NAME, cluster_authority
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

V1 = "client.authentication.k8s.io/v1"


def discovered(folder: Path, name: str, server: Upstream, user: dict[str, Any] | None = None) -> Document:
    """The declaration of a cluster whose members are asked for at this server."""
    kubeconfig(folder / f"{name}.yaml", f"https://127.0.0.1:{server.port}", user=user or {"token": TOKEN})
    return {
        "name": name,
        "hosts": [f"{name}.test"],
        "upstream": {"kubeconfig": f"{name}.yaml", "discover": True},
        "health": {"interval": "300ms"},
        "certificate": write_pair(folder, name, front_leaf(f"{name}.test")),
    }


def addresses(gate: Running, name: str = "one") -> set[str]:
    """Where the API servers of a cluster are, those that leave left out."""
    return {server.address for server in gate.cluster(name).servers if server.state != "draining"}


def at(*servers: Upstream) -> set[str]:
    """Their addresses."""
    return {str(server.endpoint) for server in servers}


def warned(gate: Running, name: str) -> str:
    """What the status says about a cluster's members, if anything is wrong with them."""
    found = [
        one.message for one in gate.status().warnings if one.code == "upstream.members" and f"cluster {name}:" in one.message
    ]
    assert len(found) <= 1
    return "".join(found)


@pytest.fixture
def member() -> Iterator[Member]:
    """The API server that the kubeconfig names."""
    with Member() as member:
        yield member


@pytest.fixture
def other() -> Iterator[Member]:
    """Another one of the same cluster."""
    with Member() as other:
        yield other


def test_members_come_and_go_without_a_reload_and_streams_of_one_that_goes_live_on(
    person: Home, member: Member, other: Member
) -> None:
    open_at: dict[Upstream, list[Exchange]] = {member: [], other: []}

    def watch(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"begun")
        open_at[member if exchange.wire.socket.getsockname()[1] == member.port else other].append(exchange)
        exchange.receive()
        exchange.leave()

    with run(gate_file(person.path, discovered(person.path, "one", member)), person) as gate, contextlib.ExitStack() as stack:
        assert addresses(gate) == at(member)
        assert gate.cluster("one").verified_name == API_NAME
        before = gate.status()
        member.members = other.members = [member, other]
        eventually(lambda: addresses(gate) == at(member, other), "the new one is taken in")
        gate.until_up("one", 2)
        for server in (member, other):
            server.at("/watched", watch)
        watching = []
        while not open_at[other]:
            watching.append(stack.enter_context(gate.dial()))
            watching[-1].wire.send(ask("GET", "/watched?watch=true", host="one.test"))
            assert watching[-1].head().status == 200
            assert watching[-1].chunk() == b"begun"
        member.members = other.members = [member]
        eventually(lambda: addresses(gate) == at(member), "it is let go")
        for number in range(10):
            assert gate.ask(f"/after/{number}").json["server"] == member.port
        for exchanges in open_at.values():
            for exchange in exchanges:
                exchange.chunk(b"more")
        assert {client.chunk() for client in watching} == {b"more"}
        assert [one.state for one in gate.cluster("one").servers if one.address == str(other.endpoint)] == ["draining"]
        for exchange in open_at[other]:
            exchange.chunk(b"")
        eventually(lambda: len(gate.cluster("one").servers) == 1, "it goes with its last stream")
        eventually(lambda: gate.status().leaving_servers == 0, "nothing of it is left")
        after = gate.status()
        assert (after.reloads, after.live_changes, after.streams_ended) == (0, 2, 0)
        assert after.haproxy_pid == before.haproxy_pid


def test_the_server_of_the_kubeconfig_dies_and_the_others_tell_who_is_there(person: Home, member: Member, other: Member) -> None:
    """The next start finds them, too, for it remembers them."""
    with Member() as third:
        member.members = other.members = [member, other]
        document = gate_file(person.path, discovered(person.path, "one", member))
        with run(document, person) as gate:
            eventually(lambda: addresses(gate) == at(member, other), "both are known")
            member.close()
            other.members = third.members = [other, third]
            eventually(lambda: addresses(gate) == at(other, third), "what the other one says is followed")
            assert not warned(gate, "one")
            gate.until_up("one", 2)
            assert gate.stop() == 0
            with run(document, person) as again:
                assert addresses(again) == at(other, third)
                assert not warned(again, "one")
                assert again.ask("/again").status == 200


ANSWERS: dict[str, Callable[[Exchange], None]] = {
    "401": status(401),
    "403": status(403),
    "500": status(500),
    "429": status(429),
    "silent": silent,
    "empty": says({"kind": "EndpointSliceList", "items": []}),
    "strange": says({"kind": "Status", "message": "a login page"}),
    "many": says(
        {
            "items": [
                {"endpoints": [{"addresses": [f"10.0.{n}.{m}"]} for n in range(2) for m in range(99)], "ports": [{"port": 6443}]}
            ]
        }
    ),
}
SAYS = {
    "401": "said 401",
    "403": "said 403",
    "500": "said 500",
    "429": "said 429",
    "silent": "did not answer in time",
    "empty": "the cluster names no API server as ready",
    "strange": "was asked for EndpointSlices and gave something else",
    "many": "names 198 API servers",
    "gone": "nothing listens on",
}


@pytest.fixture
def fleet(person: Home) -> Iterator[tuple[Document, dict[str, Member], Upstream]]:
    """A cluster for each way of not telling, and one more server, which belongs to all of them and knows nothing."""
    with Upstream() as knows_nothing, contextlib.ExitStack() as stack:
        members = {how: stack.enter_context(Member()) for how in SAYS}
        for member in members.values():
            member.members = [member, knows_nothing]
        clusters = [discovered(person.path, how, member) for how, member in members.items()]
        yield gate_file(person.path, *clusters), members, knows_nothing


def break_all(members: dict[str, Member]) -> None:
    """Each of them tells no more, in its own way."""
    for how, member in members.items():
        if how == "gone":
            member.close()
        else:
            member.answer = ANSWERS[how]


def mend_all(members: dict[str, Member]) -> None:
    """Each of them tells again."""
    for member in members.values():
        member.answer = member.tell
    members["gone"].start()


def test_what_cannot_be_found_out_is_told_and_the_last_known_addresses_stay(
    person: Home, fleet: tuple[Document, dict[str, Member], Upstream]
) -> None:
    document, members, other = fleet
    with run(document, person) as gate:
        for how, member in members.items():
            assert addresses(gate, how) == at(member, other)
        generation = gate.status().generation
        break_all(members)
        for how, words in SAYS.items():
            eventually(lambda: words in warned(gate, how), f"{words} is said of {how}")  # noqa: B023
        found = gate.status()
        assert (found.generation, found.refused) == (generation, ())
        for how, member in members.items():
            assert addresses(gate, how) == at(member, other)
            assert gate.ask("/still", f"{how}.test").status == 200
        shown = kubegate("status", home=person).stdout
        assert shown.count("; the last known addresses are kept") == len(SAYS)
        assert "its user needs the verb list on endpointslices in the namespace default" in shown
        mend_all(members)
        for how in SAYS:
            eventually(lambda: not warned(gate, how), f"{how} tells again")  # noqa: B023
        assert gate.status().generation == generation


def test_what_cannot_be_found_out_at_the_start_keeps_no_gate_from_starting(
    person: Home, fleet: tuple[Document, dict[str, Member], Upstream]
) -> None:
    """The server of the kubeconfig counts until its cluster can be asked."""
    document, members, other = fleet
    break_all(members)
    with run(document, person) as gate:
        for how, member in members.items():
            assert SAYS[how] in warned(gate, how)
            gate.wait_for(f"warning: cluster {how}: ")
            # Nobody knows yet by which name the one that is gone can be verified.
            assert addresses(gate, how) == (set() if how == "gone" else at(member))
            assert gate.ask("/first", f"{how}.test").status == (503 if how == "gone" else 200)
        mend_all(members)
        for how, member in members.items():
            eventually(lambda: addresses(gate, how) == at(member, other), f"{how} tells")  # noqa: B023
        eventually(lambda: gate.ask("/later", "gone.test").status == 200, "the one that was gone is used")


def test_the_credential_of_the_kubeconfig_is_for_asking_alone(person: Home, member: Member, other: Member) -> None:
    member.members = other.members = [member, other]
    with run(gate_file(person.path, discovered(person.path, "one", member)), person) as gate:
        gate.until_up("one", 2)
        for number in range(10):
            assert gate.ask(f"/anonymous/{number}").status == 200
        with gate.dial() as client:
            asked = client.ask(ask("GET", "/mine", "Authorization: Bearer of-the-caller", host="one.test"))
            assert asked.status == 200
        requests = [*member.requests, *other.requests, *member.health_checks, *other.health_checks]
        sent = {(request.path.partition("/anonymous")[0], tuple(request.values("authorization"))) for request in requests}
        assert sent == {(SLICES, (f"Bearer {TOKEN}",)), ("", ()), ("/mine", ("Bearer of-the-caller",)), ("/readyz", ())}
        shown = [
            path.read_bytes() for folder in (gate.folders.run, gate.folders.kept) for path in folder.rglob("*") if path.is_file()
        ]
        assert not any(TOKEN.encode() in content for content in shown)
        assert TOKEN not in gate.said + gate.status().model_dump_json()


def test_a_token_file_is_read_each_time(person: Home, member: Member) -> None:
    token = person.path / "token"
    token.write_text("first")
    member.token = "first"
    with run(gate_file(person.path, discovered(person.path, "one", member, {"tokenFile": str(token)})), person) as gate:
        eventually(lambda: member.asked().count("Bearer first") >= 2, "it is asked again")
        member.token = "second"
        token.write_text("second")
        eventually(lambda: "Bearer second" in member.asked(), "the new token is used")
        assert not warned(gate, "one")
        assert gate.status().generation == 1


@pytest.mark.parametrize("ends", ["never", "soon", "late"])
def test_a_plugin_is_asked_when_what_it_gave_ends_or_is_refused(person: Home, member: Member, ends: str) -> None:
    plugin, token = person.path / "login", person.path / "token"
    expires = {"soon": "2001-01-01T00:00:00Z", "late": "2999-01-01T00:00:00Z", "never": ""}[ends]
    given = {"expirationTimestamp": expires} if expires else {}
    answer = json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": {"token": "TOKEN"} | given})
    token.write_text("first")
    plugin.write_text(f"#!/bin/sh\necho asked >> {person.path}/asked\necho '{answer}' | sed s/TOKEN/$(cat {token})/\n")
    plugin.chmod(0o700)
    member.token = "first"
    user = {"exec": {"command": str(plugin), "apiVersion": V1, "interactiveMode": "Never"}}
    with run(gate_file(person.path, discovered(person.path, "one", member, user)), person) as gate:
        eventually(lambda: len(member.asked()) >= 2, "it is asked again")
        asked = (person.path / "asked").read_text().count("asked")
        assert asked >= 2 if ends == "soon" else asked == 1
        token.write_text("second")
        member.token = "second"
        eventually(lambda: "Bearer second" in member.asked(), "the new credential is used")
        eventually(lambda: len(member.asked()) >= 4, "it is asked again")
        assert not warned(gate, "one")
        # The refusal alone says that another one is needed.
        assert ends == "soon" or (person.path / "asked").read_text().count("asked") == 2


def test_a_node_that_is_named_as_a_member_gets_nothing(person: Home, member: Member) -> None:
    """Its certificate is of the same CA, for its own name and this very address."""
    node = forge("node-1", cluster_authority(), names=["node-1", "127.0.0.1"])
    with Member(leaf=node) as kubelet:
        member.members = [member, kubelet]
        with run(gate_file(person.path, discovered(person.path, "one", member)), person) as gate:
            assert addresses(gate) == at(member, kubelet)
            eventually(
                lambda: {server.state for server in gate.cluster("one").servers} == {"up", "down"},
                "the node is not taken for one",
            )
            dead = [one for one in gate.status().warnings if one.code == "upstream.dead"]
            assert [f"is for node-1, 127.0.0.1; not for {API_NAME}" in one.message for one in dead] == [True]
            assert dead[0].hint.startswith(f"is it an API server of this cluster? then its certificate needs the name {API_NAME}")
            for number in range(6):
                assert gate.ask(f"/asked/{number}").json["server"] == member.port
            member.close()
            eventually(lambda: warned(gate, "one"), "nobody tells")
            assert gate.ask("/asked").status == 503
        assert kubelet.requests == kubelet.health_checks == []


def test_certificates_without_their_own_address_need_a_name_in_the_kubeconfig(person: Home) -> None:
    leaf = forge("kube-apiserver", cluster_authority(), names=[API_NAME])
    with Member(leaf=leaf) as member, Member(leaf=leaf) as other:
        member.members = other.members = [member, other]
        declared = discovered(person.path, "one", member)
        with run(gate_file(person.path, declared), person) as gate:
            said = warned(gate, "one")
            assert f"the certificate of {member.endpoint} is for {API_NAME}; not for 127.0.0.1" in said
            [hint] = {one.hint for one in gate.status().warnings if one.code == "upstream.members"}
            assert "set tls-server-name to one of them" in hint
            assert gate.ask("/none").status == 503
            server, named = f"https://127.0.0.1:{member.port}", {"tls-server-name": API_NAME}
            kubeconfig(person.path / "one.yaml", server, cluster=named, user={"token": TOKEN})
            eventually(lambda: addresses(gate) == at(member, other), "both are known")
            gate.until_up("one", 2)
            assert not warned(gate, "one")


def test_a_member_without_the_name_of_the_kubeconfig_says_what_to_do(person: Home, member: Member) -> None:
    """Where the kubeconfig names a name, that one counts for all."""
    with Member(leaf=forge("kube-apiserver", cluster_authority(), names=["127.0.0.1", "elsewhere"])) as other:
        member.members = [member, other]
        declared = discovered(person.path, "one", member)
        server, named = f"https://127.0.0.1:{member.port}", {"tls-server-name": API_NAME}
        kubeconfig(person.path / "one.yaml", server, cluster=named, user={"token": TOKEN})
        with run(gate_file(person.path, declared), person) as gate:
            [dead] = [one for one in gate.status().warnings if one.code == "upstream.dead"]
            assert f"the certificate of {other.endpoint} is for elsewhere, 127.0.0.1; not for {API_NAME}" in dead.message
            assert dead.hint.startswith("set tls-server-name of the kubeconfig's cluster to a name that the certificates of all")


def test_members_of_another_cluster_get_nothing(person: Home, member: Member) -> None:
    """Whatever a cluster says, who does not prove to be of it by its CA is never asked."""
    stranger = forge("kube-apiserver", forge("another CA", ca=True), names=[API_NAME, "127.0.0.1"])
    with Member(leaf=stranger) as foreign:
        member.members = [member, foreign]
        with run(gate_file(person.path, discovered(person.path, "one", member)), person) as gate:
            for number in range(6):
                assert gate.ask(f"/asked/{number}").json["server"] == member.port
            eventually(lambda: len(member.asked()) >= 2, "it is asked again")
        assert foreign.requests == foreign.health_checks == []
