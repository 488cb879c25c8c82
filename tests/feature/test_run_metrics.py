"""Metrics for Prometheus, HAProxy's own and the control plane's, where they were declared to be and nowhere else."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubegate.system.network import free_port
from tests.support.expose import home
from tests.support.rawhttp import Client, request
from tests.support.run import Running, cluster, gate_file, run
from tests.support.upstream import Exchange, Upstream, eventually

pytestmark = pytest.mark.haproxy

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class World:
    """A gate with metrics, one cluster that is up and one that is not."""

    gate: Running
    upstream: Upstream
    port: int

    def get(self, path: str, method: str = "GET") -> httpx.Response:
        with httpx.Client(trust_env=False) as client:
            return client.request(method, f"http://127.0.0.1:{self.port}{path}")

    def samples(self, path: str) -> Samples:
        """Everything that is measured, by name and labels."""
        answer = self.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(answer.text))
        assert families
        assert all(family.documentation for family in families)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def watch(exchange: Exchange) -> None:
    exchange.begin()
    exchange.chunk(b"event")
    while exchange.receive():
        pass


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with home() as place, Upstream() as upstream:
        upstream.at("/watch", watch)
        port = free_port("127.0.0.1")
        clusters = [cluster(place.path, name, upstream) for name in ("one", "two")]
        clusters[1]["upstream"]["servers"] = [f"127.0.0.1:{free_port('127.0.0.1')}"]
        with run(gate_file(place.path, *clusters, metrics={"address": f"127.0.0.1:{port}"}), place) as gate:
            gate.until_up("one")
            world = World(gate, upstream, port)
            yield world
            # It may be an heir of the first one.
            world.gate.end()


def test_haproxy_s_metrics_tell_of_listeners_backends_and_servers(world: World) -> None:
    assert world.gate.ask("/counted").status == 200
    found = world.samples("/metrics")
    assert found["haproxy_backend_http_responses_total", (("code", "2xx"), ("proxy", "one"))] >= 1
    assert found["haproxy_frontend_http_requests_total", (("proxy", "main"),)] >= 1
    servers = {dict(labels)["server"] for name, labels in found if name == "haproxy_server_status" and ("proxy", "one") in labels}
    [server] = servers
    assert server.startswith(f"127.0.0.1:{world.upstream.port}")


def test_the_control_plane_s_metrics_say_what_the_status_says(world: World) -> None:
    with world.gate.dial() as connection:
        connection.wire.send(request("GET", "/watch?watch=true", host="one.test"))
        assert connection.head().status == 200
        eventually(lambda: not any(one.state == "up" for one in world.gate.cluster("two").servers))
        found, status = world.samples("/metrics/kubegate"), world.gate.status()
    one, two = (("cluster", "one"),), (("cluster", "two"),)
    assert found["kubegate_generation", ()] == status.generation
    assert found["kubegate_reloads_total", ()] == status.reloads
    assert found["kubegate_live_changes_total", ()] == status.live_changes
    assert found["kubegate_config_refused", ()] == 0
    assert found["kubegate_old_workers", ()] == len(status.old_workers)
    assert (found["kubegate_streams", one], found["kubegate_streams", two]) == (1, 0)
    assert found["kubegate_server_up", (*one, ("server", f"127.0.0.1:{world.upstream.port}"))] == 1
    [down] = [value for (name, labels), value in found.items() if name == "kubegate_server_up" and two[0] in labels]
    assert down == 0
    certificate = world.gate.cluster("one").certificate
    assert certificate is not None
    assert found["kubegate_certificate_expires_timestamp_seconds", one] == int(certificate.not_after.timestamp())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/status",
        "/reload",
        "/metrics/",
        "/metrics/kubegate/",
        "/metrics/kubegate/x",
        "//metrics",
        "/metrics/../reload",
        "/Metrics",
    ],
)
def test_nothing_else_is_served_there(world: World, path: str) -> None:
    reached = len(world.upstream.requests)
    for method in ("GET", "POST"):
        with Client.connect("127.0.0.1", world.port) as connection:
            answer = connection.ask(request(method, path, host="one.test", body=b"" if method == "POST" else None))
        assert (answer.status, answer.json["reason"]) == (404, "NotFound")
    assert len(world.upstream.requests) == reached


def test_only_reading_is_offered(world: World) -> None:
    for path in ("/metrics", "/metrics/kubegate"):
        for method in ("POST", "PUT", "DELETE"):
            assert world.get(path, method).status_code == 404


def test_a_cluster_s_own_metrics_are_reached_through_the_gate_as_ever(world: World) -> None:
    assert world.gate.ask("/metrics").json["target"] == "/metrics"


def test_a_cluster_that_came_while_it_ran_is_told_by_its_name(world: World) -> None:
    """Its backend in HAProxy's metrics has a name of its own."""
    fresh = cluster(world.gate.home.path, "three", world.upstream)
    world.gate.edit(lambda document: document["clusters"].append(fresh))
    assert world.gate.status().reloads == 0
    backend = world.gate.cluster("three").backend
    assert world.samples("/metrics/kubegate")["kubegate_cluster_info", (("backend", backend), ("cluster", "three"))] == 1
    assert ("haproxy_backend_status", (("proxy", backend), ("state", "UP"))) in world.samples("/metrics")
    world.gate.edit(lambda document: document["clusters"].pop())


def test_haproxy_s_metrics_outlive_the_control_plane(world: World) -> None:
    world.gate.kill()
    try:
        assert world.samples("/metrics")
        answer = world.get("/metrics/kubegate")
        assert (answer.status_code, answer.json()["reason"]) == (503, "ServiceUnavailable")
        assert world.gate.ask("/without-control-plane").status == 200
    finally:
        world.gate = world.gate.again()
    assert world.samples("/metrics/kubegate")


def test_sockets_are_for_the_user_alone(world: World) -> None:
    sockets = [path for path in Path(world.gate.folders.run).iterdir() if path.is_socket()]
    assert {path.name for path in sockets} >= {"control.sock", "admin.sock", "master.sock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}
    assert stat.S_IMODE(Path(world.gate.folders.run).stat().st_mode) == 0o700


def listening(gate: Running) -> set[tuple[str, int]]:
    """The TCP addresses that the gate's processes listen on."""
    found = set()
    for process in (psutil.Process(gate.process.pid), gate.haproxy, *gate.haproxy.children()):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr.ip, connection.laddr.port))
    return found


def test_without_a_declared_address_nothing_listens_for_metrics() -> None:
    with home() as place, Upstream() as upstream, run(gate_file(place.path, cluster(place.path, "one", upstream)), place) as gate:
        assert listening(gate) == {("127.0.0.1", gate.port)}
        port = free_port("127.0.0.1")
        gate.edit(lambda document: document.update(metrics={"address": f"127.0.0.1:{port}"}))
        assert listening(gate) == {("127.0.0.1", gate.port), ("127.0.0.1", port)}
        assert World(gate, upstream, port).samples("/metrics/kubegate")
        gate.edit(lambda document: document.pop("metrics"))
        eventually(lambda: listening(gate) == {("127.0.0.1", gate.port)})
