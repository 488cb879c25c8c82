"""`kubegate test-connection` and `whoami` on every way: a declared gate, other servers, what the cluster names."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.commands import facts, said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.forge import CLIENT, forge
from tests.support.nodes import REVIEWS, SERVICE, SLICES, api_server, says, status
from tests.support.run import Running, cluster, gate_file, run
from tests.support.tls import API_NAME, authority, cluster_authority
from tests.support.upstream import Upstream

USERS = authority("people")
HOSTILE = {"status": {"userInfo": {"username": "\x1b[31mroot", "groups": ["a\nb", 5], "extra": {"\x1b": ["x"]}}}}


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    with api_server(client_ca=USERS) as api:
        yield api


@pytest.fixture
def gate(person: Home, api: Upstream) -> Iterator[Running]:
    """A gate that opens TLS for one cluster and passes it through for another, both of this API server."""
    opened = cluster(person.path, "one", api)
    passed = cluster(person.path, "two", api, mode="passthrough", hosts=[API_NAME])
    with run(gate_file(person.path, opened, passed), person) as gate:
        gate.until_up("one")
        yield gate


def config_of(person: Home, api: Upstream, user: dict[str, object] | None = None) -> str:
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{api.port}", user=user))


def by_certificate() -> dict[str, object]:
    me = forge("me", USERS, usages=[CLIENT])
    data = {"client-certificate-data": me.pem, "client-key-data": me.key_pem}
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def shapes(found: Any) -> list[tuple[str, str, bool, bool]]:
    return [(one["kind"], one["name"], one["asked"], one["ok"]) for one in found["ways"]]


@pytest.mark.haproxy
def test_every_way_with_one_credential(person: Home, api: Upstream, gate: Running) -> None:
    words = ("--kubeconfig", config_of(person, api), "-c", str(gate.file))
    found = facts("test-connection", *words, home=person)
    assert shapes(found) == [
        ("kubeconfig", "dev", True, True),
        ("gate", "one", True, True),
        ("gate", "two", True, True),
        ("member", "127.0.0.2:" + str(api.port), False, False),
    ]
    assert [one["verified_name"] for one in found["ways"]] == ["127.0.0.1", "one.test", API_NAME, API_NAME]
    assert found["ways"][3]["failure"]["point"] == "tcp-refused"
    assert "cannot be gone from here" in said("test-connection", *words, home=person)
    known = facts("whoami", *words, home=person)
    assert [(one["identity"] or {}).get("username") for one in known["ways"]] == [*["user of token-of-the-person"] * 3, None]
    assert (known["ok"], known["same"], known["ways"][3]["asked"]) == (True, True, False)
    text = said("whoami", *words, "--cluster", "one", home=person)
    assert text.count("user of token-of-the-person") == 2
    assert "team, system:authenticated" in text


@pytest.mark.haproxy
def test_a_client_certificate_ends_where_tls_is_opened(person: Home, api: Upstream, gate: Running) -> None:
    words = ("--kubeconfig", config_of(person, api, by_certificate()), "-c", str(gate.file), "--output", "json")
    done = kubegate("test-connection", *words, home=person)
    assert done.returncode == 1
    failures = {one["name"]: (one["failure"] or {}).get("point") for one in json.loads(done.stdout)["ways"]}
    assert (failures["dev"], failures["one"], failures["two"]) == (None, "login", None)
    known = json.loads(kubegate("whoami", *words, home=person).stdout)["ways"]
    assert [bool(one["identity"]) for one in known] == [True, False, True, False]


@pytest.mark.haproxy
def test_a_gate_that_asks_for_client_certificates_is_shown_the_one_there_is(person: Home, api: Upstream) -> None:
    (person.path / "users.crt").write_bytes(USERS.pem)
    asking = {"clientCertificates": {"ca": "users.crt"}}
    user = by_certificate() | {"token": "token-of-the-person"}
    with run(gate_file(person.path, cluster(person.path, "one", api), listener=asking), person) as gate:
        gate.until_up("one")
        found = facts("test-connection", "--kubeconfig", config_of(person, api, user), "-c", str(gate.file), home=person)
        assert shapes(found)[1] == ("gate", "one", True, True)
        words = ("--kubeconfig", config_of(person, api), "-c", str(gate.file), "--output", "json")
        without = json.loads(kubegate("test-connection", *words, home=person).stdout)
        assert [one["failure"]["point"] for one in without["ways"] if one["kind"] == "gate"] == ["unauthorized"]


def test_the_credential_goes_to_no_other_cluster_of_the_file(person: Home, api: Upstream) -> None:
    with api_server() as other:
        file = person.path / "kubegate.yaml"
        file.write_text(yaml.safe_dump(gate_file(person.path, cluster(person.path, "one", other))))
        words = ("--kubeconfig", config_of(person, api), "-c", str(file))
        done = kubegate("test-connection", *words, "--output", "json", home=person)
        assert done.returncode == 2
        [problem] = problems(done)
        assert (problem["code"], "--cluster NAME" in problem["hint"]) == ("gate.cluster", True)
        done = kubegate("test-connection", *words, "--cluster", "one", "--output", "json", home=person)
        [gate] = [one for one in json.loads(done.stdout)["ways"] if one["kind"] == "gate"]
        assert gate["failure"]["point"] == "tcp-refused", "no gate runs"
        assert other.received() == b""


def test_another_server_and_its_ca(person: Home, api: Upstream) -> None:
    with api_server(forge("x", authority("foreign CA"), names=["foreign.test"])) as other:
        words = ("--kubeconfig", config_of(person, api), "--server", f"https://127.0.0.1:{other.port}")
        done = kubegate("test-connection", *words, "--output", "json", home=person)
        assert (done.returncode, json.loads(done.stdout)["ways"][1]["failure"]["point"]) == (1, "tls-ca")
        assert other.received() == b""


def test_another_server_by_another_name(person: Home, api: Upstream) -> None:
    foreign = authority("foreign CA")
    ca = person.path / "ca.crt"
    ca.write_bytes(foreign.pem)
    with api_server(forge("x", foreign, names=["foreign.test"])) as other:
        words = ("--kubeconfig", config_of(person, api), "--server", f"https://127.0.0.1:{other.port}", "--ca", str(ca))
        found = facts("test-connection", *words, "--tls-server-name", "foreign.test", home=person)
        assert shapes(found)[1] == ("server", f"https://127.0.0.1:{other.port}", True, True)


def test_everything_that_is_wrong_at_once(person: Home, api: Upstream) -> None:
    words = ("--kubeconfig", config_of(person, api), "--server", "ftp://x", "--server", "https://me:secret@x", "--ca", "none")
    done = kubegate("test-connection", *words, "--cluster", "x", "--output", "json", home=person)
    assert (done.returncode, "secret" in done.stdout) == (2, False)
    assert [one["code"] for one in problems(done)] == [
        "flag.combination",
        "file.unreadable",
        "kubeconfig.server",
        "kubeconfig.server",
    ]


def test_what_the_cluster_does_not_tell_is_said(person: Home) -> None:
    with api_server() as shy:
        for path in (SERVICE, SLICES):
            shy.at(path, status(403, "forbidden"))
        found = facts("test-connection", "--kubeconfig", config_of(person, shy), home=person)
        assert [one["where"] for one in found["notes"]] == ["the Service kubernetes", "EndpointSlices"]
        assert shapes(found) == [("kubeconfig", "dev", True, True)]


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "log in again"), (403, "system:basic-user"), (404, "older than 1.28"), (500, "")]
)
def test_whoami_says_why_it_is_not_known(person: Home, code: int, hint: str) -> None:
    with api_server() as api:
        api.at(REVIEWS, status(code, "so it is"))
        done = kubegate("whoami", "--kubeconfig", config_of(person, api), "--output", "json", home=person)
        assert done.returncode == 1
        way = json.loads(done.stdout)["ways"][0]
        assert "so it is" in way["problem"]["message"]
        assert hint in way["problem"]["hint"]


def test_somebody_else_on_another_way_is_told(person: Home, api: Upstream) -> None:
    with api_server() as other:
        other.at(REVIEWS, says({"status": {"userInfo": {"username": "admin"}}}, 201))
        words = ("--kubeconfig", config_of(person, api), "--server", f"https://127.0.0.1:{other.port}")
        assert facts("whoami", *words, home=person)["same"] is False
        assert "not the same user on every way" in said("whoami", *words, home=person)


def test_what_a_server_says_is_printed_escaped(person: Home) -> None:
    with api_server() as api:
        api.at(REVIEWS, says(HOSTILE, 201))
        text = said("whoami", "--kubeconfig", config_of(person, api), home=person)
        assert "\x1b" not in text
        assert r"\x1b[31mroot" in text


def test_the_ca_of_the_cluster_is_no_way_to_a_member_by_its_address(person: Home) -> None:
    """A kubelet has a certificate of the same CA for the same address: it must not get the credential."""
    kubelet = forge("system:node:x", cluster_authority(), names=["127.0.0.3", "node-x"])
    with api_server() as api, api_server(kubelet) as other:
        slices = {"items": [{"ports": [{"name": "https", "port": other.port}], "endpoints": [{"addresses": ["127.0.0.1"]}]}]}
        api.at(SLICES, says(slices))
        found = facts("test-connection", "--kubeconfig", config_of(person, api), home=person)
        [member] = [one for one in found["ways"] if one["kind"] == "member"]
        assert member["failure"]["point"] == "tls-name"
        assert other.received() == b""
