"""Every example runs as it stands."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pki import SERVER
from tests.support.expose import Home, home

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, cluster: Cluster, person: Home, folder: Path, extra: Mapping[str, str]) -> str:
    """Run one example in an empty folder, as the cluster's admin, on a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = f"{extra.get('ADDRESS', '127.0.0.1')}:{port}"
    commands = f"{Path(sys.executable).parent}{os.pathsep}{cluster.binaries}{os.pathsep}{os.environ['PATH']}"
    environ = person.environ({"PATH": commands, "KUBECONFIG": str(cluster.kubeconfig), "LISTEN": listen, **extra})
    done = subprocess.run(
        [EXAMPLES / name],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_here() -> None:
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.sh")} <= tested


def test_limited_account(cluster: Cluster, tmp_path: Path) -> None:
    with home() as person:
        shown = run("limited-account.sh", cluster, person, tmp_path, {"ACCOUNT": "dev/robot"})
    assert "system:serviceaccount:dev:robot" in shown
    assert "kube-root-ca.crt" in shown


def test_own_certificate(cluster: Cluster, tmp_path: Path) -> None:
    leaf = cluster.ca.issue("gate", file=tmp_path / "tls", names=["localhost"], usages=[SERVER])
    with leaf.certificate.open("ab") as file:
        file.write(cluster.ca.certificate.read_bytes())
    extra = {"NAME": "localhost", "CERT": "tls.crt", "KEY": "tls.key", "TOKEN": cluster.accounts["viewer"].token or ""}
    with home() as person:
        shown = run("own-certificate.sh", cluster, person, tmp_path, extra | {"ADDRESS": "0.0.0.0"})
    assert '"gitVersion"' in shown


def test_client_certificates(cluster: Cluster, tmp_path: Path) -> None:
    with home() as person:
        shown = run("client-certificates.sh", cluster, person, tmp_path, {})
    assert cluster.node_name in shown


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.name)
def test_examples_are_listed(path: Path) -> None:
    assert path.name in (EXAMPLES / "README.md").read_text()
