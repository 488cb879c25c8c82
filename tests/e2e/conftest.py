"""The real clusters, each brought up once, and gates in front of the first."""

import base64
import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.accounts import Account
from tests.cluster.cluster import Cluster
from tests.cluster.layout import SECOND
from tests.support.expose import Exposed, Home, expose, home

pytest.register_assert_rewrite("tests.e2e.commands")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster a person keeps up, else one for this run."""
    with Cluster.attach() or Cluster.up() as running:
        yield running


@pytest.fixture(scope="session")
def second_cluster() -> Iterator[Cluster]:
    """Another cluster beside the first, which shares nothing with it; only tests that ask for it wait for it."""
    with Cluster.attach(SECOND) or Cluster.up(SECOND) as running:
        yield running


@pytest.fixture(scope="session")
def person() -> Iterator[Home]:
    """One home for gates that live as long as the tests."""
    with home() as folder:
        yield folder


@dataclass(frozen=True)
class Client:
    """kubectl as one account, through one gate, in one way of speaking HTTP."""

    cluster: Cluster
    mode: str
    kubeconfig: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """What kubectl runs with."""
        return self.cluster.environment(self.kubeconfig) | dict(self.extra)

    def run(
        self, *words: str | Path, check: bool = True, input: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run kubectl to its end; output stays bytes, for some of it is no text."""
        done = subprocess.run(
            [self.cluster.kubectl_path, *words], env=self.environ, input=input, capture_output=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(map(str, words))[:200]}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done

    def text(self, *words: str | Path, input: bytes | None = None, timeout: float = 60) -> str:
        """Run kubectl and return what it printed."""
        return self.run(*words, input=input, timeout=timeout).stdout.decode()

    @contextlib.contextmanager
    def running(self, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        """kubectl in the background, with its standard input and output at hand; ended at the end."""
        process = subprocess.Popen(
            [self.cluster.kubectl_path, *words],
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=20)


ClientMaker = Callable[..., Client]


@pytest.fixture(scope="module")
def make_pod() -> Iterator[Callable[[Cluster], str]]:
    """The name of a pod in a cluster, which answers HTTP on port 8080, echoes on port 7000, and logs a line every 0.1 s."""
    made: list[Cluster] = []

    def make(cluster: Cluster) -> str:
        if cluster not in made:
            serve = "mkdir -p /www; echo hello > /www/index.html; httpd -p 8080 -h /www; nc -lk -p 7000 -e cat &"
            script = f"{serve} i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done"
            cluster.run_pod("worker", command=["sh", "-c", script])
            made.append(cluster)
        return "worker"

    yield make
    for cluster in made:
        cluster.delete_pod("worker")


@pytest.fixture
def pod(client: Client, make_pod: Callable[[Cluster], str]) -> str:
    """That pod in the client's cluster."""
    return make_pod(client.cluster)


def client_config(gate: Exposed, account: Account, path: Path, *, host: str | None = None) -> Path:
    """The kubeconfig that the gate wrote, with an account's credential put in, and perhaps another host of the gate."""
    config: dict[str, Any] = yaml.safe_load(Path(gate.facts["kubeconfig"]).read_text())
    entry = config["clusters"][0]["cluster"]
    if host is not None:
        entry["server"] = f"https://{host}:{gate.port}"
    config["contexts"][0]["context"]["user"] = account.name
    user: dict[str, str] = {"token": account.token} if account.token else {}
    if account.client:
        user["client-certificate-data"] = base64.b64encode(account.client.certificate.read_bytes()).decode()
        user["client-key-data"] = base64.b64encode(account.client.key.read_bytes()).decode()
    config["users"] = [{"name": account.name, "user": user}]
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def two_servers(cluster: Cluster) -> Iterator[str]:
    """A DNS name of the API server's certificate that resolves to both API servers on this machine."""
    name, marker = cluster.api_name, "# kubegate test cluster"
    hosts = Path("/etc/hosts")
    before = hosts.read_text()
    lines = [line for line in before.splitlines() if marker not in line]
    lines += [f"{server.address} {name} {marker}" for server in cluster.servers]
    hosts.write_text("\n".join(lines) + "\n")
    try:
        yield name
    finally:
        hosts.write_text("\n".join(line for line in hosts.read_text().splitlines() if marker not in line) + "\n")


@pytest.fixture(scope="session")
def gates(cluster: Cluster, person: Home, two_servers: str) -> Iterator[Mapping[str, Exposed]]:
    """A gate in each mode, in front of both API servers by their common name."""
    source = cluster.write_kubeconfig(
        person.path / "source.yaml", cluster.admin, server=f"https://{two_servers}:{cluster.servers[0].port}"
    )
    with contextlib.ExitStack() as stack:
        running = {}
        for mode, flags in (("terminate", ()), ("passthrough", ("--passthrough",))):
            arguments: Sequence[str] = (
                "--kubeconfig", str(source), "--listen", "127.0.0.1:0", "--out", str(person.path / f"{mode}.yaml"), *flags,
            )  # fmt: skip
            running[mode] = stack.enter_context(expose(*arguments, home=person))
        yield running


@pytest.fixture(scope="session")
def make_client(cluster: Cluster, gates: Mapping[str, Exposed], person: Home) -> ClientMaker:
    """Clients through these gates: `make_client(mode, account, host="localhost", http="h1")`."""

    def make(mode: str, account: str = "developer", *, host: str | None = None, http: str = "h2") -> Client:
        path = person.path / f"{mode}-{account}-{host}-{http}.yaml"
        client_config(gates[mode], cluster.accounts[account], path, host=host)
        # client-go's own switch (k8s.io/apimachinery/pkg/util/net, SetTransportDefaults).
        return Client(cluster, mode, path, {"DISABLE_HTTP2": "1"} if http == "h1" else {})

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the cluster."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.cluster)
