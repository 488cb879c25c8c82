"""What the gate does when what is behind it fails, lies, or is replaced by something else of the same cluster."""

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.impostor import impostor
from tests.support.expose import Exposed, Home, expose, home, kubegate


@pytest.fixture
def person() -> Iterator[Home]:
    """A home of its own for each test."""
    with home() as folder:
        yield folder


def version(gate: Exposed) -> httpx.Response:
    """Ask the gate without looking at its certificate: these tests are about the other side."""
    with httpx.Client(verify=False, trust_env=False, timeout=20) as client:
        return client.get(f"https://127.0.0.1:{gate.port}/version")


def eventually(gate: Exposed, status: int, seconds: float = 30) -> httpx.Response:
    """Ask until the answer has this status."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            answer = version(gate)
            if answer.status_code == status:
                return answer
        assert time.monotonic() < deadline, f"never {status}"
        time.sleep(0.2)


def source(cluster: Cluster, person: Home, server: str) -> Path:
    """The admin's token kubeconfig for another server URL."""
    return cluster.write_kubeconfig(person.path / "source.yaml", cluster.admin_token, server=server)


def test_one_api_server_of_two_dies_and_comes_back(cluster: Cluster, person: Home, two_servers: str) -> None:
    config = source(cluster, person, f"https://{two_servers}:6443")
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
        assert len(gate.facts["upstream"]["servers"]) == 2
        cluster.stop_apiserver(1)
        try:
            assert {version(gate).status_code for _ in range(60)} == {200}
            assert cluster.servers[1].address in gate.wait_for("is down")
        finally:
            cluster.start_apiserver(1)
        assert cluster.servers[1].address in gate.wait_for("answers again", 60)


def test_the_only_api_server_dies(cluster: Cluster, person: Home) -> None:
    config = source(cluster, person, cluster.servers[1].url)
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
        cluster.stop_apiserver(1)
        try:
            said = eventually(gate, 503).json()
        finally:
            cluster.start_apiserver(1)
        assert said["kind"] == "Status"
        assert "no API server of this cluster can be reached" in said["message"]
        eventually(gate, 200)


def test_a_kubelet_is_not_taken_for_the_api_server_at_start(cluster: Cluster, person: Home) -> None:
    config = source(cluster, person, cluster.kubelet_url)
    refused = kubegate("expose", "--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person)
    assert refused.returncode == 2
    assert "no DNS name that only an API server can have" in refused.stderr
    assert cluster.node_name in refused.stderr


@pytest.mark.parametrize("mode", ["terminate", "passthrough"])
def test_a_kubelet_certificate_in_the_api_servers_place_gets_nothing(cluster: Cluster, person: Home, mode: str) -> None:
    # Signed by the same CA, and with this very address would pass for it: only the name tells them apart.
    kubelet = cluster.pki / "kubelet" / "kubelet-server-current.pem"
    config = source(cluster, person, cluster.servers[1].url)
    flags = ["--passthrough"] if mode == "passthrough" else []
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", *flags, home=person) as gate:
        cluster.stop_apiserver(1)
        try:
            with impostor(cluster.listen(cluster.servers[1].address, cluster.servers[1].port), kubelet) as received:
                gate.wait_for("is down")
                for _ in range(5):
                    if mode == "terminate":
                        assert version(gate).status_code == 503
                    else:
                        with pytest.raises(httpx.HTTPError):
                            version(gate)
                assert not [words for words in received if words]
        finally:
            cluster.start_apiserver(1)
        eventually(gate, 200)


def test_haproxy_killed_is_back(cluster: Cluster, person: Home) -> None:
    config = source(cluster, person, cluster.servers[0].url)
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
        for victim in ("worker", "master"):
            master = next(child for child in psutil.Process(gate.process.pid).children() if child.name() == "haproxy")
            process = master if victim == "master" else master.children()[0]
            process.send_signal(signal.SIGKILL)
            gate.wait_for("HAProxy is back")
            assert version(gate).status_code == 200


def test_kubegate_killed_the_gate_serves_on_and_the_next_one_takes_over(cluster: Cluster, person: Home) -> None:
    config = source(cluster, person, cluster.servers[0].url)
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
        gate.process.kill()
        gate.process.wait()
        assert version(gate).status_code == 200
        with expose("--kubeconfig", str(config), "--listen", f"127.0.0.1:{gate.port}", home=person) as heir:
            assert version(heir).status_code == 200
            assert heir.facts["certificate"]["sha256"] == gate.facts["certificate"]["sha256"]
            assert "left running" in heir.stop()
    deadline = time.monotonic() + 20
    while any(str(person.path) in " ".join(info["cmdline"] or []) for info in (p.info for p in psutil.process_iter(["cmdline"]))):
        assert time.monotonic() < deadline, "a HAProxy was left"
        time.sleep(0.1)


def test_what_a_stopped_gate_leaves(cluster: Cluster, person: Home) -> None:
    config = source(cluster, person, cluster.servers[0].url)
    with expose("--kubeconfig", str(config), "--listen", "127.0.0.1:0", home=person) as gate:
        folders = list(person.runtime.iterdir())
        assert [oct(folder.stat().st_mode & 0o777) for folder in (person.runtime, *folders)] == ["0o700"] * 2
        keys = [file for file in folders[0].rglob("*") if file.is_file() and not file.is_symlink()]
        assert {oct(file.stat().st_mode & 0o777) for file in keys} == {"0o600"}
        gate.stop()
        assert list(person.runtime.iterdir()) == []
        assert gate.process.returncode == 0
    assert {oct(path.stat().st_mode & 0o777) for path in person.state.rglob("*") if path.is_file()} == {"0o600"}
    shutil.rmtree(person.state)
