"""The recipes, from nothing to `kubectl get nodes`: every command of a page, against the real cluster.

Marathon is not here: HAProxy is started by the line of `app.json`, with the folder of the agent mounted where it says. The agent
is this machine, reached over the real sshd.
"""

import contextlib
import getpass
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from kubegate.system.network import free_port
from tests.cluster.cluster import Cluster
from tests.support.engines import program
from tests.support.expose import home
from tests.support.marathon import started
from tests.support.recipe import RECIPES, Recipe, commands
from tests.support.sshd import HOST, machine
from tests.support.upstream import eventually

# How a page names the agent, and the user there.
AGENT, USER = "203.0.113.7", "core"


def followed(name: str, cluster: Cluster, tmp_path: Path, instead: Mapping[str, str], cas: list[str]) -> list[str]:
    """Follow a page; what its commands printed after the application was started."""
    port = free_port("127.0.0.1")
    with home() as person, machine(person, tmp_path) as agent:
        work = person.path / "work"
        work.mkdir()
        for one in cas:
            (work / one).write_bytes(cluster.ca.certificate.read_bytes())
        (work / "token").touch(mode=0o600)
        (work / "token").write_text(cluster.admin_token.token or "")
        others = {
            f"{USER}@{AGENT}:/srv/kubegate": f"{getpass.getuser()}@{HOST}:{agent.link}",
            AGENT: "127.0.0.1",
            "0.0.0.0:6443": f"0.0.0.0:{port}",
            **instead,
        }
        environ = person.environ({"PATH": commands(cluster.binaries)})
        blocks = Recipe(name, others).run(work, environ)
        assert None in blocks, "somebody else starts the application"
        app = json.loads((work / "set" / "app.json").read_text())
        assert app["container"]["volumes"][0]["hostPath"] == str(agent.link)
        with started(app, agent.link, program("haproxy-wheel")):
            eventually(lambda: listens(port), "HAProxy listens")
            return [printed or "" for printed in blocks]


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


@pytest.mark.timeout(240)
def test_dcos_self_signed(cluster: Cluster, tmp_path: Path) -> None:
    server = cluster.servers[0]
    instead = {"apiserver.kubernetes-cluster.l4lb.thisdcos.directory:6443": f"{server.address}:{server.port}"}
    printed = followed("dcos-self-signed.md", cluster, tmp_path, instead, ["cluster-ca.crt"])
    assert cluster.node_name in printed[-1]


@pytest.mark.timeout(240)
def test_dcos_trusted_sni(cluster: Cluster, tmp_path: Path) -> None:
    """Behind each name another API server."""
    names = ("prod", "lab")
    instead = {
        f"apiserver.{name}.l4lb.thisdcos.directory:6443": f"{server.address}:{server.port}"
        for name, server in zip(names, cluster.servers, strict=True)
    }
    logs = [server.audit_log.stat().st_size for server in cluster.servers]
    printed = followed("dcos-trusted-sni.md", cluster, tmp_path, instead, [f"{name}-ca.crt" for name in names])
    assert printed[-1].count(cluster.node_name) == 2
    for server, before in zip(cluster.servers, logs, strict=True):
        with server.audit_log.open() as log:
            log.seek(before)
            assert "/api/v1/nodes" in log.read()


@pytest.mark.parametrize("page", sorted(path.name for path in RECIPES.glob("dcos-*.md")))
def test_every_page_has_a_test_and_is_listed(page: str) -> None:
    assert f"def test_{page.removesuffix('.md').replace('-', '_')}(" in Path(__file__).read_text()
    assert f"[{page}]({page})" in (RECIPES / "README.md").read_text()
