"""The API server behind a gate is verified by CA and by name, always; each allow has its deny."""

import os
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support.expose import Exposed, Home, at_once, expose, home, kubeconfig, kubegate, problems
from tests.support.forge import forge
from tests.support.rawhttp import request
from tests.support.tls import API_NAME, authority, cluster_authority, server_context
from tests.support.upstream import Upstream

pytestmark = pytest.mark.haproxy


@dataclass
class Api:
    """An API server with a certificate of its own, and the server names that its callers sent."""

    names: tuple[str, ...]
    upstream: Upstream = field(init=False)
    sni: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = server_context(forge("kube-apiserver", cluster_authority(), names=self.names))
        context.sni_callback = self._note
        self.upstream = Upstream(leaf=None, context=context)

    def _note(self, _socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        self.sni.append(name)

    def config(self, person: Home, host: str = "127.0.0.1", **options: Any) -> tuple[str, ...]:
        """The flags for it."""
        path = kubeconfig(person.path / "config.yaml", f"https://{host}:{self.upstream.port}", **options)
        return "--kubeconfig", str(path), "--listen", "127.0.0.1:0"

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.upstream.close()


def served(gate: Exposed, api: Upstream) -> None:
    """A request with a token goes through the gate to the API server."""
    with gate.dial() as client:
        assert client.ask(request("GET", "/through", "Authorization: Bearer callers-own")).status == 200
    assert api.seen("/through")[-1].values("authorization") == ["Bearer callers-own"]


NAMES: dict[str, tuple[tuple[str, ...], str, dict[str, Any], str, str | None]] = {
    # What the certificate is for, the server's host, the cluster's options: by which name it is verified, and what SNI is sent.
    "address": ((API_NAME, "node-1", "127.0.0.1"), "127.0.0.1", {}, API_NAME, None),
    "address, longer name": ((f"{API_NAME}.cluster.local", "127.0.0.1"), "127.0.0.1", {}, f"{API_NAME}.cluster.local", None),
    "address with tls-server-name": (("api.test",), "127.0.0.1", {"tls-server-name": "api.test"}, "api.test", "api.test"),
    "tls-server-name is an address": ((API_NAME, "10.0.0.1"), "127.0.0.1", {"tls-server-name": "10.0.0.1"}, API_NAME, None),
    "name": (("localhost",), "localhost", {}, "localhost", "localhost"),
    "wildcard": (("*.eks.test",), "localhost", {"tls-server-name": "a.eks.test"}, "a.eks.test", "a.eks.test"),
}


def expose_verified(case: str) -> None:
    names, host, cluster, verified, sni = NAMES[case]
    with home() as person, Api(names) as api:
        out = ("--out", str(person.path / "out.yaml"))
        with expose(*api.config(person, host, cluster=cluster), *out, home=person) as gate:
            assert gate.facts["upstream"]["verified_name"] == verified
            served(gate, api.upstream)
            api.upstream.wait_until(lambda: api.upstream.health_checks)
            assert set(api.sni) == {sni}
            assert gate.warnings == []


@pytest.fixture(scope="module")
def exposed() -> Iterator[dict[str, Future[None]]]:
    """All of them beside one another."""
    with ThreadPoolExecutor(3) as pool:
        yield {case: pool.submit(expose_verified, case) for case in NAMES}


@pytest.mark.parametrize("case", NAMES)
def test_verified_by_this_name(exposed: dict[str, Future[None]], case: str) -> None:
    exposed[case].result()


REFUSED: dict[str, tuple[tuple[str, ...], str, dict[str, Any], str, str]] = {
    "a node's certificate": (
        ("node-1", "127.0.0.1"),
        "127.0.0.1",
        {},
        "has no DNS name that only an API server can",
        "tls-server-name",
    ),
    "no DNS name": (("127.0.0.1",), "127.0.0.1", {}, "(it has: none)", "tls-server-name"),
    "similar names": (
        ("kubernetes", "kubernetes.default", "kubernetes.default.svcs", "x.kubernetes.default.svc", "127.0.0.1"),
        "127.0.0.1",
        {},
        "no DNS name that only an API server can have",
        "tls-server-name",
    ),
    "another address": ((API_NAME, "127.0.0.2"), "127.0.0.1", {}, "not for 127.0.0.1", "tls-server-name"),
    "another name": ((API_NAME, "127.0.0.1"), "localhost", {}, "not for localhost", "tls-server-name"),
    "another tls-server-name": (("api.test",), "127.0.0.1", {"tls-server-name": "b.test"}, "not for b.test", "tls-server-name"),
    "too deep for the wildcard": (("*.eks.test",), "localhost", {"tls-server-name": "a.b.eks.test"}, "not for a.b.eks.test", ""),
}


@pytest.fixture(scope="module")
def refused() -> dict[str, tuple[CompletedProcess[str], int]]:
    """All of them beside one another."""

    def run(names: tuple[str, ...], host: str, cluster: dict[str, Any]) -> tuple[CompletedProcess[str], int]:
        with home() as person, Api(names) as api:
            done = kubegate("expose", "--output", "json", *api.config(person, host, cluster=cluster), home=person)
            return done, len(api.upstream.requests)

    return at_once({case: partial(run, *row[:3]) for case, row in REFUSED.items()})


@pytest.mark.parametrize("case", REFUSED)
def test_not_verified_not_exposed(refused: dict[str, tuple[CompletedProcess[str], int]], case: str) -> None:
    message, hint = REFUSED[case][3:]
    done, requests = refused[case]
    [found] = problems(done)
    assert done.returncode == 2
    assert message in found["message"]
    assert hint in found["hint"]
    assert requests == 0, "nothing was asked of it"


# A kubeconfig without CA: the CAs of the system count, here those in SSL_CERT_FILE.


def system_ca(person: Home, name: str, content: bytes) -> dict[str, str]:
    path = person.path / name
    path.write_bytes(content)
    return {"SSL_CERT_FILE": str(path)}


def test_without_a_ca_those_of_the_system_count(person: Home) -> None:
    extra = system_ca(person, "system.crt", cluster_authority().pem)
    out = ("--out", str(person.path / "out.yaml"))
    with Api(("localhost",)) as api, expose(*api.config(person, "localhost", ca=None), *out, home=person, extra=extra) as gate:
        served(gate, api.upstream)
        files = {path.name: path.read_bytes() for path in person.runtime.rglob("ca-*.pem")}
        assert set(files.values()) == {cluster_authority().pem}


def test_without_a_ca_a_stranger_is_refused(person: Home) -> None:
    bundles = {
        "a CA that is not trusted": system_ca(person, "other.crt", authority("another CA").pem),
        "SSL_CERT_FILE=/nowhere/ca.crt is no file": {"SSL_CERT_FILE": "/nowhere/ca.crt"},
        "holds no certificate": system_ca(person, "empty.crt", b"nothing"),
    }
    with Api(("localhost",)) as api:
        flags = ("expose", "--output", "json", *api.config(person, "localhost", ca=None))
        done = at_once({said: partial(kubegate, *flags, home=person, extra=extra) for said, extra in bundles.items()})
        assert api.upstream.requests == []
    for said, one in done.items():
        assert one.returncode == 2
        assert said in problems(one)[0]["message"]
        assert problems(one)[0]["hint"]


# What is only done when it is spelled out.


def test_an_unverified_server_needs_to_be_spelled_out(person: Home) -> None:
    """The twin is in test_expose_problems: without the flag it is refused."""
    cluster = {"insecure-skip-tls-verify": True}
    out = ("--out", str(person.path / "out.yaml"))
    with Api(("whoever.test",)) as api:
        for _ in range(2):
            config = api.config(person, ca=None, cluster=cluster)
            with expose(*config, "--insecure-upstream", *out, home=person) as gate:
                assert gate.facts["upstream"]["verified_name"] is None
                [warning] = gate.warnings
                assert warning["code"] == "insecure-upstream"
                assert "whoever answers there receives the callers' tokens" in warning["message"]
                served(gate, api.upstream)


def test_plain_http_needs_to_be_spelled_out(person: Home) -> None:
    out = ("--out", str(person.path / "out.yaml"))
    with Upstream(leaf=None) as api:
        path = kubeconfig(person.path / "c.yaml", f"http://127.0.0.1:{api.port}", ca=None)
        flags = ("--kubeconfig", str(path), "--listen", "127.0.0.1:0", "--insecure-upstream", *out)
        with expose(*flags, home=person) as gate:
            [warning] = gate.warnings
            assert warning["code"] == "insecure-upstream"
            assert "not encrypted" in warning["message"]
            served(gate, api)


def test_spelling_it_out_does_not_switch_verification_off_where_it_is_on(person: Home) -> None:
    with Api((API_NAME, "127.0.0.1")) as api:
        with expose(*api.config(person), "--insecure-upstream", home=person) as gate:
            assert gate.facts["upstream"]["verified_name"] == API_NAME
            [warning] = gate.warnings
            assert "not needed" in warning["message"]
        config = api.config(person, ca=authority("another CA").pem)
        refused = kubegate("expose", "--output", "json", *config, "--insecure-upstream", home=person)
        assert "a CA that is not trusted" in problems(refused)[0]["message"]


def test_passthrough_offers_no_way_out_that_it_does_not_have(person: Home) -> None:
    with Api((API_NAME, "127.0.0.1")) as api:
        config = api.config(person, ca=None, cluster={"insecure-skip-tls-verify": True})
        [found] = problems(kubegate("expose", "--output", "json", *config, "--passthrough", home=person))
    assert "--insecure-upstream" not in found["hint"]
    assert "the cluster's CA" in found["hint"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the command a hosts file of its own")
def test_several_servers_behind_a_name_one_of_them_dead(person: Home) -> None:
    hosts = person.path / "hosts"
    hosts.write_text("127.0.0.1 api.test\n127.0.0.2 api.test\n")
    before = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    out = ("--out", str(person.path / "out.yaml"))
    with Api(("api.test",)) as api, expose(*api.config(person, "api.test"), *out, home=person, before=before) as gate:
        [warning] = gate.warnings
        assert warning["code"] == "upstream.dead"
        assert f"nothing listens on 127.0.0.2:{api.upstream.port}" in warning["message"]
        assert gate.facts["upstream"]["servers"] == [f"127.0.0.{n}:{api.upstream.port}" for n in (1, 2)]
        served(gate, api.upstream)


def test_intermediate_and_rotated_cas(person: Home) -> None:
    """A bundle with an expired CA beside the present one is a rotation that is not finished."""
    old = forge("cluster test CA", ca=True, since=timedelta(days=9), until=timedelta(days=-1))
    with Api((API_NAME, "127.0.0.1")) as api:
        with expose(*api.config(person, ca=old.pem + cluster_authority().pem), home=person) as gate:
            assert gate.facts["upstream"]["verified_name"] == API_NAME
        [found] = problems(kubegate("expose", "--output", "json", *api.config(person, ca=old.pem), home=person))
        assert "expired on" in found["message"]


def test_the_ca_may_stand_in_a_file_beside_the_kubeconfig(person: Home) -> None:
    (person.path / "ca.crt").write_bytes(cluster_authority().pem)
    with Api((API_NAME, "127.0.0.1")) as api:
        config = api.config(person, ca=None, cluster={"certificate-authority": "ca.crt"})
        with expose(*config, home=person) as gate:
            assert gate.facts["upstream"]["verified_name"] == API_NAME
