"""Every declared example can be used as it stands: only addresses are put in, and the files that it names beside it."""

import base64
import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
import yaml

from kubegate.system.network import free_port
from tests.support.expose import Home, kubeconfig, kubegate
from tests.support.forge import forge
from tests.support.member import TOKEN, Member
from tests.support.rawhttp import Answer, Client, NoAnswer, request
from tests.support.run import Running, client, front_leaf
from tests.support.tls import authority, cluster_authority, front_authority, server_context
from tests.support.upstream import Exchange, Upstream, eventually
from tests.support.wire import Wire

pytestmark = pytest.mark.haproxy

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAME = "prod.example.com"
# Where no certificate is given.
_OWN = ["certificate.self-signed"]


@pytest.fixture
def one() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def two() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def local() -> str:
    """An address for the gate to listen on."""
    return f"127.0.0.1:{free_port('127.0.0.1')}"


@contextlib.contextmanager
def example(
    name: str, person: Home, addresses: Mapping[str, str], files: Mapping[str, bytes] | None = None, warned: Sequence[str] = ()
) -> Iterator[Running]:
    """One example, checked and then running: with other addresses, and with the files that it names."""
    text = (EXAMPLES / name).read_text()
    for declared, address in addresses.items():
        assert re.search(rf"(?<![\w.]){re.escape(declared)}(?![\w.])", text), f"{name} does not say {declared}"
        text = re.sub(rf"(?<![\w.]){re.escape(declared)}(?![\w.])", address, text)
    for path, content in (files or {}).items():
        assert path in text, f"{name} does not name {path}"
        (person.path / path).parent.mkdir(exist_ok=True)
        (person.path / path).touch(mode=0o600)
        (person.path / path).write_bytes(content)
    file = person.path / name
    file.write_text(text)
    checked = kubegate("check", "-c", str(file), "--output", "json", home=person)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    codes = {warning["code"] for warning in json.loads(checked.stdout)["warnings"]}
    assert codes - {"haproxy.holes"} == set(warned), checked.stdout
    gate = Running(file, person)
    try:
        gate.until_running()
        yield gate
    finally:
        gate.end()


def pair(path: str, *names: str) -> dict[str, bytes]:
    """A certificate with the CA that clients trust, and its key, at `PATH.crt` and `PATH.key`."""
    leaf = front_leaf(*names)
    return {f"{path}.crt": leaf.pem + front_authority().pem, f"{path}.key": leaf.key_pem}


def from_address(gate: Running, source: str, line: bytes = b"") -> Answer:
    """A request from another address of this machine, the connection beginning with `line`. Raises OSError or NoAnswer."""
    sock = socket.create_connection(("127.0.0.1", gate.port), source_address=(source, 0))
    try:
        sock.sendall(line)
        wire = Wire(sock, client(), name=NAME)
    except OSError:
        sock.close()
        raise
    with Client(wire) as connection:
        return connection.ask(request("GET", f"/from/{source}", host=NAME))


def test_two_clusters(person: Home, one: Upstream, two: Upstream) -> None:
    leaf = forge("kube-apiserver", cluster_authority(), names=["lab.example.com", "kubernetes.default.svc", "127.0.0.1"])
    ca = cluster_authority().pem
    with Upstream(context=server_context(leaf)) as sealed:
        listen = local()
        addresses = {
            "0.0.0.0:6443": listen,
            "203.0.113.7": "127.0.0.1",
            "10.0.0.1:6443": str(one.endpoint),
            "10.0.0.2:6443": str(two.endpoint),
            "10.1.0.1:6443": str(sealed.endpoint),
        }
        files = {"prod-ca.crt": ca, "lab-ca.crt": ca, **pair("tls/prod", NAME, "127.0.0.1")}
        with example("two-clusters.yaml", person, addresses, files) as gate:
            gate.until_up("prod", 2)
            gate.until_up("lab")
            answered = {gate.ask(name=NAME).json["server"] for _ in range(4)}
            assert answered == {one.port, two.port}
            assert gate.ask(name=None).json["server"] in answered, "a client of the address gets the default cluster"
            # The API server's own certificate, its CA and its name: nobody opened it on the way.
            assert gate.ask(name="lab.example.com", trusted=cluster_authority()).json["server"] == sealed.port
            assert gate.ask(name="other.example.com", verify=False).status == 421


def test_discovered(person: Home) -> None:
    with Member() as one, Member() as two:
        source = kubeconfig(person.path / "source", f"https://{one.endpoint}", user={"token": TOKEN})
        files = {"gate.kubeconfig": source.read_bytes()}
        with example("discovered.yaml", person, {"127.0.0.1:6443": local()}, files, _OWN) as gate:
            gate.until_up("prod")
            assert gate.ask(name=NAME, verify=False).status == 200
            one.members = two.members = [one, two]
            gate.until_up("prod", 2)
            one.members = two.members = [two]
            eventually(lambda: [s.address for s in gate.cluster("prod").servers if s.state == "up"] == [str(two.endpoint)])
            assert {gate.ask(name=NAME, verify=False).json["server"] for _ in range(4)} == {two.port}
            assert gate.status().reloads == 0


def test_behind_load_balancer(person: Home, one: Upstream) -> None:
    addresses = {
        "0.0.0.0:6443": local(),
        "10.9.0.10": "127.0.0.65",
        "10.9.0.11": "127.0.0.66",
        "10.0.0.1:6443": str(one.endpoint),
    }
    files = {"prod-ca.crt": cluster_authority().pem, **pair("prod", NAME)}
    line, stranger = b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 6443\r\n", b"PROXY TCP4 203.0.113.7 192.0.2.1 5000 6443\r\n"
    with example("behind-load-balancer.yaml", person, addresses, files) as gate:
        gate.until_up("prod")
        for balancer in ("127.0.0.65", "127.0.0.66"):
            assert from_address(gate, balancer, line).status == 200
            assert one.seen(f"/from/{balancer}")[-1].values("x-forwarded-for") == ["198.51.100.7"]
            assert from_address(gate, balancer, stranger).status == 403
        assert from_address(gate, "127.0.0.1").status == 403, "who comes directly has an own address"
        with pytest.raises((OSError, NoAnswer)):
            from_address(gate, "127.0.0.1", line)
        with pytest.raises((OSError, NoAnswer)):
            from_address(gate, "127.0.0.65")
        assert len(one.requests) == 2


def test_public(person: Home, one: Upstream, two: Upstream) -> None:
    issuer = forge("issuer", front_authority(), ca=True, usages=None)
    leaf = forge(NAME, issuer, names=[NAME])
    addresses = {
        "0.0.0.0:6443": local(),
        "10.0.0.1:6443": str(one.endpoint),
        "10.0.0.2:6443": str(two.endpoint),
        "10.0.0.0/8": "127.0.0.0/29",
        "127.0.0.1:9100": (metrics := local()),
    }
    files = {
        "tls/prod.crt": leaf.pem,
        "tls/prod.key": leaf.key_pem,
        "tls/issuer.crt": issuer.pem,
        "tls/root.crt": front_authority().pem,
        "prod-ca.crt": cluster_authority().pem,
    }

    dropped: list[int] = []

    def drop_once(exchange: Exchange) -> None:
        if dropped:
            exchange.reply(200)
        else:
            dropped.append(exchange.wire.socket.getsockname()[1])
            exchange.leave()

    for upstream in (one, two):
        upstream.at("/dropped", drop_once)
    with example("public.yaml", person, addresses, files) as gate:
        gate.until_up("prod", 2)
        # Verified up to the root, which the issuer's certificate on the wire leads to.
        assert from_address(gate, "127.0.0.2").status == 200
        assert from_address(gate, "127.0.0.9").status == 403
        assert gate.ask("/dropped", NAME).status == 200
        assert [len(upstream.seen("/dropped")) for upstream in (one, two)] == [1, 1]
        assert until_too_many(gate) > 1500
        assert from_address(gate, "127.0.0.2").status == 200, "another address has its own count"
        log = person.path / "access.json"
        eventually(lambda: {("127.0.0.9", 403), ("127.0.0.3", 429), ("127.0.0.1", 200)} <= logged(log), "it is logged")
        with httpx.Client(trust_env=False) as scraper:
            shown = {path: scraper.get(f"http://{metrics}{path}").text for path in ("/metrics", "/metrics/kubegate")}
        assert 'haproxy_frontend_http_requests_total{proxy="public"}' in shown["/metrics"]
        assert f'kubegate_server_up{{cluster="prod",server="{one.endpoint}"}} 1' in shown["/metrics/kubegate"]


def until_too_many(gate: Running) -> int:
    """How many requests one address makes, as fast as it can, until it is told that these are too many."""
    sock = socket.create_connection(("127.0.0.1", gate.port), source_address=("127.0.0.3", 0))
    with Client(Wire(sock, client(), name=NAME)) as connection:
        for number in range(20_000):
            answer = connection.ask(request("GET", "/many", host=NAME))
            if answer.status != 200:
                assert (answer.status, answer.json["reason"]) == (429, "TooManyRequests")
                return number
    raise AssertionError("it may ask as often as it likes")


def logged(file: Path) -> set[tuple[str, int]]:
    """Who was answered how, by the access log."""
    return {(line["source"], line["status"]) for line in map(json.loads, file.read_text().splitlines())}


def test_private(person: Home, one: Upstream) -> None:
    source = kubeconfig(
        person.path / "source",
        f"https://{one.endpoint}",
        cluster={"tls-server-name": "kubernetes.default.svc"},
        context="private",
    )
    document = yaml.safe_load(source.read_text())
    document["contexts"].append({"name": "another", "context": {"cluster": "elsewhere", "user": "me"}})
    document["clusters"].append({"name": "elsewhere", "cluster": {"server": "https://127.0.0.1:1"}})
    document["current-context"] = "another"
    addresses = {"192.0.2.10:6443": local(), "192.0.2.0/24": "127.0.0.0/29"}
    with example("private.yaml", person, addresses, {"clusters.kubeconfig": yaml.safe_dump(document).encode()}, _OWN) as gate:
        gate.until_up("private")
        assert gate.cluster("private").verified_name == "kubernetes.default.svc"
        assert gate.ask("/here", "private.example.com", verify=False).json["server"] == one.port
        assert not one.seen("/here")[0].values("authorization")
        # It is followed.
        fresh = authority("the next CA")
        document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(
            cluster_authority().pem + fresh.pem
        ).decode()
        before = gate.status().generation
        (person.path / "clusters.kubeconfig").write_text(yaml.safe_dump(document))
        gate.next_generation(before)
        assert gate.ask("/here", "private.example.com", verify=False).status == 200


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[!R]*")), ids=lambda path: path.name)
def test_every_example_has_a_test_and_is_listed(path: Path) -> None:
    if path.is_dir():
        assert f'"examples" / "{path.name}"' in (ROOT / "tests" / "e2e" / f"test_{path.name}.py").read_text()
    else:
        where = {".yaml": Path(__file__), ".sh": ROOT / "tests" / "e2e" / "test_examples.py"}[path.suffix]
        assert f"def test_{path.stem.replace('-', '_')}(" in where.read_text()
    assert f"[{path.name}]({path.name})" in (EXAMPLES / "README.md").read_text()
