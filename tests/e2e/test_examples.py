"""Every example runs as it stands."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from kubegate.system.network import free_port
from tests.cluster.accounts import write_kubeconfig
from tests.cluster.cluster import Cluster
from tests.cluster.pki import SERVER
from tests.support.expose import Home, home
from tests.support.run import run as run_gate

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


def test_discovered(cluster: Cluster) -> None:
    """With the right that its comment gives, and nothing else, the gate knows every API server."""
    text = (EXAMPLES / "discovered.yaml").read_text()
    commands = [shlex.split(line.removeprefix("#   kubectl ")) for line in text.splitlines() if line.startswith("#   kubectl ")]
    assert len(commands) == 3
    for words in commands:
        cluster.kubectl(*words)
    try:
        with home() as person:
            token = cluster.kubectl("create", "token", "gate", "--namespace", "default").stdout.strip()
            source = person.path / "gate.kubeconfig"
            write_kubeconfig(source, server=cluster.servers[0].url, ca=cluster.ca.certificate, token=token)
            document = yaml.safe_load(text)
            document["listeners"][0]["address"] = f"127.0.0.1:{free_port('127.0.0.1')}"
            with run_gate(document, person) as gate:
                gate.until_up("prod", len(cluster.servers))
                assert {one.address for one in gate.cluster("prod").servers} == {
                    f"{one.address}:{one.port}" for one in cluster.servers
                }
                assert "gitVersion" in gate.ask("/version", "prod.example.com", verify=False).json
                assert not [one for one in gate.status().warnings if one.code == "upstream.members"]
    finally:
        for words in reversed(commands):
            cluster.kubectl("delete", *words[1:3], "--namespace", "default")
