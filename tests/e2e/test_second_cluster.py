"""Two real clusters side by side, each used directly: what the tests of a gate in front of both rely on."""

import contextlib
import http.client
import re
import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pki import Leaf
from tests.e2e.conftest import Client

POD = "side"


@pytest.fixture(scope="module")
def both(cluster: Cluster, second_cluster: Cluster) -> Iterator[dict[str, Cluster]]:
    """Both at once, with a pod in each that says over HTTP and in its log whose it is."""
    found = {one.name: one for one in (cluster, second_cluster)}
    for name, one in found.items():
        serve = f"mkdir -p /www; echo {name} > /www/index.html; echo this is {name}; exec httpd -f -p 8080 -h /www"
        one.run_pod(POD, command=["sh", "-c", serve], tools=True)
    yield found
    for one in found.values():
        one.delete_pod(POD)


@pytest.fixture(params=["first", "second"])
def pair(request: pytest.FixtureRequest, both: dict[str, Cluster]) -> tuple[Cluster, Cluster]:
    """One of them and the other."""
    [other] = both.keys() - {request.param}
    return both[request.param], both[other]


def developer(cluster: Cluster) -> Client:
    """kubectl as the developer, without a gate."""
    return Client(cluster, "direct", cluster.developer.kubeconfig)


def test_exec_logs_and_port_forward(pair: tuple[Cluster, Cluster]) -> None:
    mine, _ = pair
    client = developer(mine)
    assert client.text("exec", "-i", "-n", "dev", POD, "--", "cat", input=b"to and fro\n") == "to and fro\n"
    assert client.text("exec", "-n", "dev", POD, "--", "cat", "/www/index.html") == f"{mine.name}\n"
    assert client.text("logs", "-n", "dev", POD) == f"this is {mine.name}\n"
    with client.running("port-forward", "-n", "dev", f"pod/{POD}", ":8080", "--address", "127.0.0.1") as forward:
        assert forward.stdout is not None
        match = re.search(r"127\.0\.0\.1:(\d+) ->", forward.stdout.readline())
        assert match
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=20)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == f"{mine.name}\n".encode()


def test_a_pod_reaches_its_own_api_server_by_the_service(pair: tuple[Cluster, Cluster]) -> None:
    mine, _ = pair
    client = developer(mine)
    assert "system:serviceaccount:dev:default" in client.text("exec", "-n", "dev", POD, "--", "/tools/kubectl", "auth", "whoami")
    host = client.text("exec", "-n", "dev", POD, "--", "sh", "-c", "echo $KUBERNETES_SERVICE_HOST")
    assert host.strip() == mine.service_address


def test_neither_sees_the_others_objects(pair: tuple[Cluster, Cluster]) -> None:
    mine, other = pair
    developer(mine).run("create", "configmap", "only-here", "-n", "dev")
    try:
        assert developer(mine).text("get", "configmap", "only-here", "-n", "dev", "-o", "name") == "configmap/only-here\n"
        refused = developer(other).run("get", "configmap", "only-here", "-n", "dev", check=False)
        assert b"(NotFound)" in refused.stderr
    finally:
        developer(mine).run("delete", "configmap", "only-here", "-n", "dev")
    assert mine.kubectl("get", "nodes", "-o", "name").stdout == f"node/{mine.node_name}\n"
    assert mine.node_name != other.node_name


def ask(cluster: Cluster, *, trusted: Cluster | None = None, token: str | None = None, client: Leaf | None = None) -> int:
    """The status of a request that every known caller may make, with the CA of the trusted cluster or of the one asked."""
    context = ssl.create_default_context(cafile=str((trusted or cluster).ca.certificate))
    if client:
        context.load_cert_chain(client.certificate, client.key)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(verify=context, trust_env=False) as caller:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        return caller.post(f"{cluster.servers[0].url}{path}", json=review, headers=headers).status_code


@pytest.mark.parametrize("account", ["admin-token", "developer", "viewer"])
def test_a_token_of_the_other_is_nobodys(pair: tuple[Cluster, Cluster], account: str) -> None:
    mine, other = pair
    assert ask(mine, token=mine.accounts[account].token) == 201
    assert ask(mine, token=other.accounts[account].token) == 401


def test_a_service_account_token_of_the_other_is_nobodys(pair: tuple[Cluster, Cluster]) -> None:
    mine, other = pair
    own, foreign = (one.kubectl("create", "token", "robot", "-n", "dev").stdout.strip() for one in (mine, other))
    assert ask(mine, token=own) == 201
    assert ask(mine, token=foreign) == 401


def test_a_client_certificate_of_the_other_is_nobodys(pair: tuple[Cluster, Cluster]) -> None:
    mine, other = pair
    assert ask(mine, client=mine.admin.client) == 201
    assert ask(mine, client=other.admin.client) == 401


def test_the_cas_share_a_name_and_nothing_else(pair: tuple[Cluster, Cluster]) -> None:
    mine, other = pair
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(mine, trusted=other, token=mine.viewer.token)
