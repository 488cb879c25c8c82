"""Every kubectl command through `kubegate proxy`, over WebSocket and SPDY, with a token and with a client certificate."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.commands import Commands
from tests.e2e.conftest import Client, ClientMaker
from tests.support.expose import Home, home
from tests.support.proxy import proxying

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
# Of whose rights the proxy is made, and what kubectl speaks to it.
WAYS = ("developer-websocket", "developer-spdy", "admin-websocket")


@pytest.fixture(scope="module")
def person() -> Iterator[Home]:
    with home() as folder:
        yield folder


@pytest.fixture(scope="module")
def make_client(cluster: Cluster, person: Home) -> Iterator[ClientMaker]:
    """Clients without a credential of their own, through a proxy with that of an account."""
    ports: dict[str, int] = {}
    with ExitStack() as proxies:

        def make(way: str, account: str = "") -> Client:
            account = account or way.partition("-")[0]
            if account not in ports:
                config = f"--kubeconfig={cluster.accounts[account].kubeconfig}"
                flags = ("--port=0", "--reject-paths=", "--pass-impersonation")
                ports[account] = proxies.enter_context(proxying(config, *flags, home=person)).port
            return Client(
                cluster, way, _kubeconfig(person.path / f"{account}.yaml", ports[account]), SPDY if "spdy" in way else {}
            )

        yield make


def _kubeconfig(path: Path, port: int) -> Path:
    context = {"cluster": "proxy", "user": ""}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "proxy", "context": context}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(params=WAYS, scope="module")
def client(request: pytest.FixtureRequest, make_client: ClientMaker) -> Client:
    """kubectl in every way."""
    return make_client(request.param)


class TestCommands(Commands):
    """The list."""

    def test_as_is_the_callers_own_affair(self, client: Client, make_client: ClientMaker) -> None:
        """By the rights of the proxy's user, for that is whom the API server sees."""
        done = client.run("get", "nodes", "--as", "somebody", check=False)
        words = b"cannot impersonate" if client.mode.startswith("developer") else b'User "somebody" cannot list'
        assert words in done.stderr
        assert "developer" in make_client(client.mode, "admin").text("auth", "whoami", "--as", "developer")


def test_nobody_is_impersonated_unless_that_is_allowed(cluster: Cluster, person: Home) -> None:
    with proxying(f"--kubeconfig={cluster.kubeconfig}", "--port=0", home=person) as proxy:
        client = Client(cluster, "", _kubeconfig(person.path / "plain.yaml", proxy.port))
        for words in (("get", "nodes"), ("auth", "whoami"), ("delete", "namespace", "dev")):
            refused = client.run(*words, "--as", "system:admin", check=False)
            assert (refused.returncode, refused.stdout) == (1, b"")
        refused = client.run("get", "--raw", "/api/v1/nodes", "--as", "system:admin", check=False)
        assert b"--pass-impersonation" in refused.stderr


def test_exec_is_refused_by_the_default_filters(cluster: Cluster, person: Home, make_pod: object) -> None:
    assert callable(make_pod)
    pod = make_pod(cluster)
    with proxying(f"--kubeconfig={cluster.kubeconfig}", "--port=0", home=person) as proxy:
        client = Client(cluster, "", _kubeconfig(person.path / "filtered.yaml", proxy.port))
        refused = client.run("exec", "-n", "dev", pod, "--", "true", check=False)
        assert refused.returncode == 1
        assert b"--reject-paths" in refused.stderr
        assert client.text("logs", "-n", "dev", "--tail=1", pod).startswith("line")


def test_read_only(cluster: Cluster, person: Home, make_pod: object) -> None:
    assert callable(make_pod)
    pod = make_pod(cluster)
    flags = ("--port=0", "--reject-paths=", "--read-only", "--deny=secrets")
    with proxying(f"--kubeconfig={cluster.kubeconfig}", *flags, home=person) as proxy:
        client = Client(cluster, "", _kubeconfig(person.path / "reading.yaml", proxy.port))
        assert pod in client.text("get", "pods", "-n", "dev")
        assert "yes" in client.text("auth", "can-i", "get", "pods")
        for words in (
            ("delete", "pod", "-n", "dev", pod),
            ("exec", "-n", "dev", pod, "--", "true"),
            ("create", "configmap", "-n", "dev", "written"),
            ("get", "--raw", f"/api/v1/namespaces/dev/pods/{pod}:8080/proxy/"),
            ("get", "secrets", "-A"),
        ):
            refused = client.run(*words, check=False)
            assert (refused.returncode, refused.stdout) == (1, b""), words
        assert "created" in client.text("create", "configmap", "-n", "dev", "tried", "--dry-run=server")


def test_client_and_credential_are_those_of_the_proxys_user(cluster: Cluster, make_client: ClientMaker) -> None:
    assert "developer" in make_client("developer-websocket").text("auth", "whoami")
    assert "admin" in make_client("admin-websocket").text("auth", "whoami")
    assert len(cluster.accounts) > 1
