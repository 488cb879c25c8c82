"""Everything that is wrong with what was typed or written, said at once: where, what, and what to do; and nothing was changed."""

import contextlib
import json
import os
import shutil
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.expose import Home, at_once, home, kubeconfig, kubegate, problems
from tests.support.forge import Forged, forge
from tests.support.listening import closed_port
from tests.support.tls import API_NAME, api_leaf, authority, cluster_authority
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy

ANYWHERE = ("--listen", "127.0.0.1:0")
NOTHING_LISTENS = f"https://127.0.0.1:{closed_port()}"


@dataclass
class Desk:
    """Where a person sits: a home, a good kubeconfig, and files to point at."""

    home: Home
    good: Path
    api: Upstream

    def file(self, name: str, content: bytes = b"") -> Path:
        """A file of this name."""
        path = self.home.path / name
        path.write_bytes(content)
        return path

    def config(self, name: str, server: str | None = None, **options: object) -> tuple[str, str]:
        """The flag for a kubeconfig of its own."""
        path = self.home.path / f"{name}.yaml"
        return "--kubeconfig", str(kubeconfig(path, server or self.url(), **options))  # type: ignore[arg-type]

    def url(self, host: str = "127.0.0.1") -> str:
        """The API server's URL under one of its names."""
        return f"https://{host}:{self.api.port}"


Cases = dict[str, tuple[str, ...]]


def upstream_cases(desk: Desk, servers: dict[str, int]) -> Cases:
    """Kubeconfigs and API servers that cannot be used."""
    api_key, linked = desk.file("api.key", api_leaf().key_pem), desk.home.path / "linked"
    linked.symlink_to(desk.good)
    shown = {name: f"https://127.0.0.1:{port}" for name, port in servers.items()}
    out = ("--out", str(desk.home.path / "client.yaml"))
    return {
        "no kubeconfig": ("--kubeconfig", "/nowhere/config"),
        "no yaml": ("--kubeconfig", str(desk.file("no.yaml", b"a: [1"))),
        "unknown context": ("--kubeconfig", str(desk.good), "--context", "prod"),
        "no such ca": desk.config("no-ca", ca=None, cluster={"certificate-authority": "no-such.crt"}),
        "ca is a key": desk.config("ca-key", ca=None, cluster={"certificate-authority": str(api_key)}),
        "ca is nothing": desk.config("ca-nothing", ca=b"nothing"),
        "unresolvable": desk.config("unresolvable", "https://no-such-host.invalid:6443"),
        "dead": desk.config("dead", NOTHING_LISTENS),
        "another ca": desk.config("other", ca=authority("another CA").pem),
        "another name": desk.config("name", desk.url("localhost")),
        "expired": desk.config("expired", shown["expired"]),
        "kubelet": desk.config("kubelet", shown["kubelet"]),
        "no address": desk.config("address", shown["no address"]),
        "plain http": desk.config("plain", shown["plain"]),
        "http": desk.config("http", shown["plain"].replace("https", "http")),
        "unverified": desk.config("unverified", ca=None, cluster={"insecure-skip-tls-verify": True}),
        "proxy": desk.config("proxy", cluster={"proxy-url": "http://user:secret-of-the-proxy@127.0.0.1:1"}),
        "path": desk.config("path", f"{desk.url()}/k8s/clusters/c-1"),
        "url with a password": desk.config("password", "https://me:secret-in-the-url@127.0.0.1:6443"),
        "out is the source": ("--kubeconfig", str(desk.good), "--out", str(linked)),
        "expired login": (*desk.config("login", user=expired_login()), *out, "--account", "dev/robot"),
    }


def front_cases(desk: Desk) -> Cases:
    """Certificates and modes that do not go together."""
    certificate, key = desk.file("tls.crt", api_leaf().pem), desk.file("tls.key", api_leaf().key_pem)
    other, wild = desk.file("other.key", forge("other").key_pem), forge("wild", names=["*.apps.test"])
    wildcard = desk.file("wild.pem", wild.pem + wild.key_pem)
    cases = {
        "key of another": (certificate, other),
        "no such key": (certificate, Path("/nowhere/tls.key")),
        "key is none": (certificate, certificate),
        "wildcard alone": (wildcard, wildcard),
        "out is the key": (certificate, key),
    }
    found: Cases = {name: ("--cert", str(one), "--key", str(two)) for name, (one, two) in cases.items()}
    return found | {
        "out is the key": (*found["out is the key"], "--out", str(key)),
        "key alone": ("--key", str(key)),
        "certificate alone": ("--cert", str(certificate)),
        "passthrough with a certificate": ("--passthrough", "--cert", "/nowhere/c", "--key", "/nowhere/k"),
        "insecure passthrough": ("--passthrough", "--insecure-upstream"),
    }


def out_cases(desk: Desk) -> Cases:
    """Files that cannot, or must not, be written."""
    fifo = desk.home.path / "fifo"
    os.mkfifo(fifo)
    precious = desk.file("precious", b"precious\n")
    wrong = {"out of nowhere": "/nowhere/c.yaml", "out is a folder": desk.home.path, "out is no file": fifo}
    return {name: ("--out", str(path)) for name, path in (wrong | {"out is precious": precious}).items()}


def listen_cases(taken: int) -> Cases:
    """Where nothing can listen."""
    wrong = {
        "port in use": f"127.0.0.1:{taken}",
        "address of another": "203.0.113.7:6443",
        "address of another, any port": "203.0.113.7:0",
        "no port": "127.0.0.1",
        "every interface untyped": ":6443",
    }
    return {name: ("--listen", listen) for name, listen in wrong.items()}


CLIENT_CASES: Cases = {
    "host with a port": ("--host", "api.test:6443"),
    "short token": ("--account", "dev/robot", "--for", "9m59s"),
    "account without namespace": ("--account", "robot"),
    "for without account": ("--for", "1h"),
    "account without out": ("--account", "dev/robot"),
    "insecure account": ("--account", "dev/robot", "--insecure-upstream"),
}


def expired(name: str, *names: str) -> Forged:
    """A certificate whose time is over."""
    return forge(name, cluster_authority(), names=names, since=timedelta(days=9), until=timedelta(days=-2))


def expired_login() -> dict[str, str]:
    old = expired("admin")
    return {"client-certificate-data": b64encode(old.pem).decode(), "client-key-data": b64encode(old.key_pem).decode()}


# Which place the one problem names, what is wrong there, and what its hint says. {home} is the person's folder.
EXPECTED: dict[str, tuple[str, str, str]] = {
    "no kubeconfig": ("/nowhere/config", "cannot be read: no such file", ""),
    "no yaml": ("{home}/no.yaml:2", "is not YAML", ""),
    "unknown context": ("--context", "there is no context 'prod'", "one of: dev"),
    "no such ca": ("{home}/no-ca.yaml: clusters[here].cluster.certificate-authority", "no-such.crt cannot be read", ""),
    "ca is a key": ("{home}/ca-key.yaml: clusters[here].cluster.certificate-authority", "a private key instead", "a CA"),
    "ca is nothing": ("{home}/ca-nothing.yaml: clusters[here].cluster.certificate-authority-data", "no certificate", "a CA"),
    "unresolvable": ("{home}/unresolvable.yaml: clusters[here].cluster.server", "no-such-host.invalid has no address", "DNS"),
    "dead": ("{home}/dead.yaml: clusters[here].cluster.server", "nothing listens on 127.0.0.1:", "start the API server"),
    "another ca": ("{home}/other.yaml: clusters[here].cluster.server", "a CA that is not trusted", "the CA of this cluster"),
    "another name": ("{home}/name.yaml: clusters[here].cluster.server", "not for localhost", "tls-server-name"),
    "expired": ("{home}/expired.yaml: clusters[here].cluster.server", "expired on", "renew it"),
    "kubelet": ("{home}/kubelet.yaml: clusters[here].cluster.server", "(it has: node-1)", "tls-server-name"),
    "no address": ("{home}/address.yaml: clusters[here].cluster.server", "not for 127.0.0.1", "tls-server-name"),
    "plain http": ("{home}/plain.yaml: clusters[here].cluster.server", "does not speak TLS", "http:"),
    "http": ("{home}/http.yaml: clusters[here].cluster.server", "without TLS", "use https, or spell out --insecure-upstream"),
    "unverified": (
        "{home}/unverified.yaml: clusters[here].cluster.insecure-skip-tls-verify",
        "nobody would verify",
        "the cluster's CA",
    ),
    "proxy": ("{home}/proxy.yaml: clusters[here].cluster.proxy-url", "reached through a proxy", "directly"),
    "path": ("{home}/path.yaml: clusters[here].cluster.server", "has a path (/k8s/clusters/c-1)", "without a path"),
    "url with a password": ("{home}/password.yaml: clusters[here].cluster.server", "password in the URL", "kubeconfig's user"),
    "key alone": ("--key", "given together", "add --cert FILE"),
    "certificate alone": ("--cert", "given together", "add --key FILE"),
    "key of another": ("{home}/other.key", "does not belong to the certificate", ""),
    "no such key": ("/nowhere/tls.key", "cannot be read: no such file", ""),
    "key is none": ("{home}/tls.crt", "a certificate but no private key", "own file"),
    "wildcard alone": ("--cert {home}/wild.pem", "only for *.apps.test", "--host NAME"),
    "port in use": ("--listen 127.0.0.1:{taken}", "listens there already", "choose another port"),
    "address of another": ("--listen 203.0.113.7:6443", "cannot assign requested address", "address of this machine"),
    "address of another, any port": ("--listen 203.0.113.7:0", "cannot assign requested address", "address of this machine"),
    "out of nowhere": ("--out /nowhere/c.yaml", "there is no folder /nowhere", "mkdir"),
    "out is a folder": ("--out {home}", "it is a folder", "name a file in it"),
    "out is the source": ("--out {home}/linked", "reads that very file", "another file"),
    "out is the key": ("--out {home}/tls.key", "reads that very file", "another file"),
    "out is no file": ("--out {home}/fifo", "no regular file", "another file"),
    "out is precious": ("--out {home}/precious", "would be lost", "move it away"),
    "no port": ("--listen", "is not ADDR:PORT", "127.0.0.1:6443"),
    "every interface untyped": ("--listen", "names no address", "127.0.0.1:6443"),
    "host with a port": ("--host", "neither a DNS name nor an IP address", "without port"),
    "short token": ("--for", "less than 10 minutes", "10 minutes"),
    "account without namespace": ("--account", "'robot' is not NAMESPACE/NAME", "kube-system/robot"),
    "account without out": ("--account", "none is asked for", "add --out FILE"),
    "for without account": ("--for", "there is no --account", "add --account"),
    "insecure account": ("--account", "nobody verified", "leave out --insecure-upstream"),
    "passthrough with a certificate": ("--passthrough", "no certificate of its own", "leave out"),
    "insecure passthrough": ("--passthrough", "nothing that --insecure-upstream could switch off", "leave out"),
    "expired login": ("{home}/login.yaml: users[me].user.client-certificate-data", "expired on", "log in again"),
}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A person who could expose an API server."""
    with home() as person, Upstream() as api:
        yield Desk(person, kubeconfig(person.path / "good.yaml", f"https://127.0.0.1:{api.port}"), api)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """The ports of servers that are no API server that one could use."""
    leaves = {
        "expired": expired("kube-apiserver", API_NAME, "127.0.0.1"),
        "kubelet": forge("system:node:node-1", cluster_authority(), names=["node-1", "127.0.0.1"]),
        "no address": forge("x", cluster_authority(), names=[API_NAME]),
    }
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(Upstream(leaf=leaf)).port for name, leaf in leaves.items()}
        yield running | {"plain": stack.enter_context(plain_http())}


@contextlib.contextmanager
def plain_http() -> Iterator[int]:
    """A server that takes whatever comes for a bad HTTP request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@dataclass
class Outcomes:
    """What became of every case, and what was at home before and after."""

    done: dict[str, CompletedProcess[str]]
    before: list[Path]
    after: list[Path]
    fill: dict[str, object]


@pytest.fixture(scope="module")
def outcomes(desk: Desk, servers: dict[str, int]) -> Outcomes:
    """All cases, with JSON for an answer. Several share a run, one of each kind, for none may hide another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        kinds = (upstream_cases(desk, servers), front_cases(desk), out_cases(desk), listen_cases(taken), CLIENT_CASES)
        # The last of one kind with the first of the next: no two in a run give the same flag.
        offsets = (0, 10, 0, 4, 4)
        runs: list[dict[str, tuple[str, ...]]] = [{} for _ in kinds[0]]
        for kind, offset in zip(kinds, offsets, strict=True):
            for number, (name, flags) in enumerate(kind.items()):
                runs[number + offset][name] = flags
        before = sorted(desk.home.path.rglob("*"))
        done = at_once({", ".join(run): partial(tried, desk, run) for run in runs})
    by_case = {name: done[", ".join(run)] for run in runs for name in run}
    return Outcomes(by_case, before, sorted(desk.home.path.rglob("*")), {"home": desk.home.path, "taken": taken})


def tried(desk: Desk, run: Cases) -> CompletedProcess[str]:
    flags = [flag for fragment in run.values() for flag in fragment]
    anywhere = () if "--listen" in flags else ANYWHERE
    good = () if "--kubeconfig" in flags else ("--kubeconfig", str(desk.good))
    return kubegate("expose", "--output", "json", *good, *flags, *anywhere, home=desk.home)


@pytest.mark.parametrize("case", EXPECTED)
def test_one_problem_is_told_with_its_place_and_a_way_out(outcomes: Outcomes, case: str) -> None:
    done = outcomes.done[case]
    where, message, hint = EXPECTED[case]
    assert done.returncode == 2
    found = problems(done)
    expected = where.format_map(outcomes.fill)
    fitting = [one for one in found if one["where"] == expected and message in one["message"] and hint in one["hint"]]
    assert len(fitting) == 1, found
    assert all(one["where"] and one["code"] and one["message"] and one["hint"] for one in found), found
    assert "secret-" not in done.stdout


def test_no_case_is_forgotten(outcomes: Outcomes) -> None:
    assert outcomes.done.keys() == EXPECTED.keys()


def test_nothing_at_all_was_changed(outcomes: Outcomes) -> None:
    assert outcomes.after == outcomes.before
    assert not any(path.name in ("state", "kubegate", "client.yaml") for path in outcomes.after)
    assert (outcomes.fill["home"] / "precious").read_text() == "precious\n"  # type: ignore[operator]


FIVE = (
    *("--listen", "127.0.0.1", "--host", "a b", "--cert", "/nowhere/tls.crt", "--key", "/nowhere/tls.key"),
    *("--account", "robot", "--for", "5m", "--out", "/nowhere/client.yaml", "--haproxy", "/bin/true"),
)
WHERE = {
    *("--listen", "--host", "/nowhere/tls.crt", "/nowhere/tls.key", "--account", "--for", "--out /nowhere/client.yaml"),
    *("--haproxy /bin/true", "{home}/many.yaml: clusters[here].cluster.server"),
}


def test_every_problem_is_told_at_once(desk: Desk) -> None:
    flags = (*desk.config("many", NOTHING_LISTENS), *FIVE)
    done = kubegate("expose", "--output", "json", *flags, home=desk.home)
    assert done.returncode == 2
    assert {one["where"] for one in problems(done)} == {where.format(home=desk.home.path) for where in WHERE}


def test_text_says_the_same_on_standard_error(desk: Desk) -> None:
    flags = (*desk.config("many", NOTHING_LISTENS), *FIVE)
    found = problems(kubegate("expose", "--output", "json", *flags, home=desk.home))
    done = kubegate("expose", *flags, home=desk.home)
    assert (done.returncode, done.stdout) == (2, "")
    first, *lines = done.stderr.splitlines()
    assert first == f"{len(found)} problems; nothing was started:"
    expected = [(f"error: {one['where']}: {one['message']}", f"       {one['hint']}") for one in found]
    assert lines == [line for pair in expected for line in pair]


def test_a_port_below_1024_needs_a_privilege(desk: Desk) -> None:
    # Root without its capabilities is like anybody else here.
    setpriv = shutil.which("setpriv")
    before = [setpriv, "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 and setpriv else []
    flags = ("--kubeconfig", str(desk.good), "--listen", "127.0.0.1:443")
    [found] = problems(kubegate("expose", "--output", "json", *flags, home=desk.home, before=before))
    assert (found["where"], found["code"]) == ("--listen 127.0.0.1:443", "listen.unusable")
    assert "permission denied" in found["message"]
    assert "CAP_NET_BIND_SERVICE" in found["hint"]


def test_unknown_flags_and_values(desk: Desk) -> None:
    for wrong in (("--nope",), ("--output", "yaml"), ("surplus",)):
        done = kubegate("expose", *wrong, home=desk.home)
        assert (done.returncode, done.stdout) == (2, "")
        assert wrong[-1] in done.stderr
        assert "Traceback" not in done.stderr


def test_json_is_one_line_of_ascii(desk: Desk) -> None:
    done = kubegate("expose", "--output", "json", "--context", "\u202eabc", "--kubeconfig", str(desk.good), home=desk.home)
    assert done.stdout.isascii()
    assert len(json.loads(done.stdout)["problems"]) >= 1
