"""`kubegate endpoints`: who names which address, what it shows, and that nobody unproven gets a credential."""

import json
from typing import Any

import pytest
import yaml

from tests.support.commands import facts, said
from tests.support.expose import Home, kubeconfig, kubegate, problems
from tests.support.forge import forge
from tests.support.listening import closed_port
from tests.support.nodes import CLUSTER_INFO, SERVICE, SLICES, api_server, says, status
from tests.support.run import cluster, gate_file, run
from tests.support.tls import API_NAME, authority, cluster_authority
from tests.support.upstream import Upstream

SECRET = b"token-of-the-person"


def config_of(person: Home, api: Upstream, **more: Any) -> str:
    return str(kubeconfig(person.path / "config", f"https://127.0.0.1:{api.port}", **more))


def found(person: Home, api: Upstream, *words: str, **more: Any) -> dict[str, Any]:
    """The addresses, by HOST:PORT."""
    listed = facts("endpoints", "--kubeconfig", config_of(person, api, **more), *words, home=person)
    return {one["endpoint"]: one for one in listed["endpoints"]} | {"notes": listed["notes"]}


def test_everything_that_is_known(person: Home) -> None:
    with api_server() as api:
        listed = found(person, api)
        own = listed[f"127.0.0.1:{api.port}"]
        assert own["sources"] == ["kubeconfig", "Service kubernetes", "GET /api, for clients in 0.0.0.0/0"]
        assert own["addresses"] == [{"address": "127.0.0.1", "kind": "loopback"}]
        assert (own["reachable"], own["anonymous"], own["version"]) == (True, 200, "v1.99.0")
        assert own["certificate"]["names"] == [API_NAME, "kubernetes", "127.0.0.1"]
        assert own["certificate"]["verified_by"] == "the kubeconfig's CA"
        assert 0 < own["certificate"]["days_left"] <= 30
        inside = listed[f"{API_NAME}:{api.port}"]
        assert (inside["reachable"], "has no address" in inside["trouble"]) == (False, True)
        member = listed[f"127.0.0.2:{api.port}"]
        assert (member["sources"], member["reachable"], member["trouble"]) == (["EndpointSlices"], False, "nothing listens there")
        assert [one["where"] for one in listed["notes"]] == ["cluster-info"]
        anonymous = api.seen("/version")
        assert [one.values("authorization") for one in anonymous] == [[]]


def test_as_a_table(person: Home) -> None:
    with api_server() as api:
        text = said("endpoints", "--kubeconfig", config_of(person, api), home=person)
        assert "ADDRESS" in text
        assert "verified as 127.0.0.1, by the kubeconfig's CA" in text
        assert SECRET.decode() not in text


@pytest.mark.haproxy
def test_gates_that_expose_it(person: Home) -> None:
    with api_server() as api, api_server() as other:
        ours, theirs = cluster(person.path, "one", api), cluster(person.path, "two", other)
        with run(gate_file(person.path, ours, theirs), person) as gate:
            gate.until_up("one")
            # It runs here, so it is known without being named.
            listed = found(person, api)
            shown = listed[f"127.0.0.1:{gate.port}"]
            assert shown["sources"] == ["gate one"]
            assert (shown["certificate"]["verified_name"], shown["certificate"]["verified_by"]) == ("one.test", "the gate's CA")
            assert shown["anonymous"] == 200
            assert found(person, api, "-c", str(gate.file))[f"127.0.0.1:{gate.port}"]["sources"] == ["gate one"]
        assert not [one for one in other.requests if one.values("authorization")]


@pytest.mark.parametrize("what", ["another CA", "a kubelet"])
def test_an_address_that_proves_nothing_gets_nothing(person: Home, what: str) -> None:
    leaf = {
        "another CA": forge("x", authority("foreign CA"), names=[API_NAME, "127.0.0.1"]),
        "a kubelet": forge("system:node:x", cluster_authority(), names=["127.0.0.1"]),
    }[what]
    with api_server() as api, api_server(leaf) as other:
        slices = {"items": [{"ports": [{"name": "https", "port": other.port}], "endpoints": [{"addresses": ["127.0.0.1"]}]}]}
        api.at(SLICES, says(slices))
        member = found(person, api)[f"127.0.0.1:{other.port}"]
        assert (member["reachable"], member["anonymous"], member["certificate"]["verified_by"]) == (True, None, None)
        assert member["certificate"]["why"]
        assert "NOT VERIFIED" in said("endpoints", "--kubeconfig", config_of(person, api), home=person)
        assert other.received() == b""


def test_a_server_of_the_kubeconfig_that_proves_nothing_gets_no_credential(person: Home) -> None:
    with api_server(forge("x", names=["127.0.0.1"])) as api:
        listed = found(person, api, ca=None, cluster={"insecure-skip-tls-verify": True})
        assert listed[f"127.0.0.1:{api.port}"]["certificate"]["verified_by"] is None
        assert len(listed["notes"]) == 4
        assert api.received() == b""


def test_what_it_may_not_read_is_said(person: Home) -> None:
    with api_server() as api:
        for path in (SERVICE, SLICES, CLUSTER_INFO, "/api"):
            api.at(path, status(403, "forbidden"))
        listed = found(person, api)
        assert [one["hint"] for one in listed["notes"]] == [
            "its user needs the right to get services in the namespace default",
            "its user needs the verb list on endpointslices in the namespace default",
            "its user needs the right to get configmaps in the namespace kube-public",
            "its user needs the right to get /api (system:discovery)",
        ]
        assert len(listed) == 2


def test_cluster_info(person: Home) -> None:
    with api_server() as api:
        inner = {"clusters": [{"name": "", "cluster": {"server": f"https://localhost:{api.port}"}}]}
        api.at(CLUSTER_INFO, says({"data": {"kubeconfig": yaml.safe_dump(inner)}}))
        shown = found(person, api)[f"localhost:{api.port}"]
        assert (shown["sources"], shown["reachable"]) == (["cluster-info"], True)
        assert "not for localhost" in shown["certificate"]["why"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {"kubeconfig": "a: [\n"}},
        {"data": {"kubeconfig": "clusters: 5"}},
        {"data": {"kubeconfig": "clusters: [{cluster: {server: 'ftp://x'}}]"}},
        {"data": {"kubeconfig": "clusters: []"}},
        {"data": {"kubeconfig": "- a"}},
        {"data": 5},
    ],
)
def test_cluster_info_that_is_none(person: Home, body: object) -> None:
    with api_server() as api:
        api.at(CLUSTER_INFO, says(body))
        api.at("/api", says({"serverAddressByClientCIDRs": [{"clientCIDR": "x", "serverAddress": "::not one::"}, 5]}))
        listed = found(person, api)
        assert [one["message"] for one in listed["notes"]] == ["names something that is no HOST:PORT"]


def test_a_server_that_is_not_there(person: Home) -> None:
    config = kubeconfig(person.path / "config", f"https://127.0.0.1:{closed_port()}")
    listed = facts("endpoints", "--kubeconfig", str(config), home=person)
    [own] = listed["endpoints"]
    assert (own["reachable"], own["trouble"]) == (False, "nothing listens there")
    assert len(listed["notes"]) == 4


def test_plain_http_proves_nothing(person: Home) -> None:
    config = kubeconfig(person.path / "config", "http://127.0.0.1:8080", ca=None)
    done = kubegate("endpoints", "--kubeconfig", str(config), "--output", "json", home=person)
    assert (done.returncode, problems(done)[0]["code"]) == (2, "endpoints.http")


def test_a_file_that_is_wrong(person: Home) -> None:
    with api_server() as api:
        done = kubegate("endpoints", "--kubeconfig", config_of(person, api), "-c", "none.yaml", "--output", "json", home=person)
        assert (done.returncode, json.loads(done.stdout)["problems"][0]["code"]) == (2, "file.unreadable")
