"""`test-connection`, `whoami` and `endpoints` with the real API servers, on every way to them."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.declared import FIRST_HOST, upstream, write_front
from tests.e2e.pages import follow
from tests.support.commands import facts
from tests.support.expose import Home, home, kubegate
from tests.support.run import Running, gate_file, run


@pytest.fixture(scope="module")
def place() -> Iterator[Home]:
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def gate(cluster: Cluster, place: Home) -> Iterator[Running]:
    """A gate that opens TLS."""
    (place.path / f"{cluster.name}-ca.crt").write_bytes(cluster.ca.certificate.read_bytes())
    opened = {"name": "opened", "hosts": [FIRST_HOST], "certificate": write_front(place.path)}
    declared = opened | {"upstream": upstream(cluster), "health": {"interval": "1s"}}
    with run(gate_file(place.path, declared), place) as running:
        running.until_up("opened", len(cluster.servers))
        yield running


def way(found: Any, kind: str) -> Any:
    return next(one for one in found["ways"] if one["kind"] == kind)


def answer(*words: str, home: Home, code: int) -> Any:
    done = kubegate(*words, "--output", "json", home=home)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return json.loads(done.stdout)


def with_token(cluster: Cluster, place: Home, token: str) -> str:
    """The admin's kubeconfig with another credential."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = place.path / "token.yaml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_every_way_works(cluster: Cluster, gate: Running, place: Home) -> None:
    words = ("--kubeconfig", str(cluster.admin_token.kubeconfig), "-c", str(gate.file))
    found = facts("test-connection", *words, home=place)
    kinds = [one["kind"] for one in found["ways"]]
    assert kinds[:3] == ["kubeconfig", "gate", "service"]
    assert set(kinds[3:]) == {"member"}
    assert [one["failure"] for one in found["ways"]] == [None] * len(kinds)
    for one in found["ways"]:
        assert one["steps"][-1] == {"what": "upgrade", "passed": True, "detail": one["steps"][-1]["detail"]}
        assert one["steps"][-2]["detail"] == "GET /api/v1/nodes: 1 item"
    assert found["notes"] == []


def test_a_wrong_token(cluster: Cluster, gate: Running, place: Home) -> None:
    words = ("--kubeconfig", with_token(cluster, place, "wrong"), "-c", str(gate.file))
    found = answer("test-connection", *words, home=place, code=1)
    assert [way(found, kind)["failure"]["point"] for kind in ("kubeconfig", "gate")] == ["unauthorized", "unauthorized"]
    known = answer("whoami", *words, home=place, code=1)
    assert all(one["identity"] is None for one in known["ways"])


def test_who_may_not_list_nodes(cluster: Cluster, gate: Running, place: Home) -> None:
    words = ("--kubeconfig", str(cluster.developer.kubeconfig), "-c", str(gate.file))
    found = answer("test-connection", *words, home=place, code=1)
    failure = way(found, "gate")["failure"]
    assert failure["point"] == "forbidden"
    assert 'User "developer" cannot list resource "nodes"' in failure["message"]
    assert len(found["notes"]) == 2
    found = answer("test-connection", *words, "--get", "/api/v1/namespaces/dev/pods", home=place, code=0)
    assert way(found, "kubeconfig")["steps"][-1]["passed"] is None, "the context's namespace is not the developer's"


def test_who_somebody_is(cluster: Cluster, gate: Running, place: Home) -> None:
    words = ("--kubeconfig", str(cluster.developer.kubeconfig), "-c", str(gate.file))
    found = facts("whoami", *words, home=place)
    assert [one["identity"]["username"] for one in found["ways"]] == ["developer"] * len(found["ways"])
    assert [one["kind"] for one in found["ways"]][:2] == ["kubeconfig", "gate"]
    assert "developers" in way(found, "gate")["identity"]["groups"]


def test_a_client_certificate_does_not_pass_the_gate(cluster: Cluster, gate: Running, place: Home) -> None:
    words = ("--kubeconfig", str(cluster.kubeconfig), "-c", str(gate.file))
    found = answer("test-connection", *words, home=place, code=1)
    assert (way(found, "kubeconfig")["ok"], way(found, "gate")["failure"]["point"]) == (True, "login")


def test_endpoints(cluster: Cluster, gate: Running, place: Home) -> None:
    found = facts("endpoints", "--kubeconfig", str(cluster.kubeconfig), home=place)
    listed = {one["endpoint"]: one for one in found["endpoints"]}
    for server in cluster.servers:
        one = listed[f"{server.address}:{server.port}"]
        assert "EndpointSlices" in one["sources"]
        assert (one["reachable"], one["anonymous"]) == (True, 200)
        assert one["addresses"][0]["kind"] == "for measurements (RFC 2544)"
        assert one["certificate"]["verified_by"] == "the kubeconfig's CA"
        assert cluster.api_name in one["certificate"]["names"]
    assert listed[f"{cluster.service_address}:443"]["sources"] == ["Service kubernetes"]
    assert listed[f"{cluster.service_address}:443"]["reachable"] is True
    assert listed["kubernetes.default.svc:443"]["reachable"] is False
    assert listed[f"127.0.0.1:{gate.port}"]["sources"] == ["gate opened"]
    assert listed[f"127.0.0.1:{gate.port}"]["certificate"]["verified_by"] == "the gate's CA"
    assert any(source.startswith("GET /api") for one in listed.values() for source in one["sources"])


def test_the_page_can_be_followed(cluster: Cluster, gate: Running, place: Home) -> None:
    own = place.path / ".kube" / "config"
    own.parent.mkdir(exist_ok=True)
    shutil.copyfile(cluster.admin_token.kubeconfig, own)
    said = follow("connection.md", cluster, place, gate.file.parent)
    assert "every way works" in said[0]
    assert "admin-token" in said[1]
    assert "EndpointSlices" in said[2]
