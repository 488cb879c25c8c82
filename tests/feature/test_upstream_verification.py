"""The API server proves its identity by CA and name on every connection, or no byte of a request reaches it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from kubegate.model.plan import Verification
from tests.support.forge import CLIENT, Forged, forge
from tests.support.gate import Gate, plan
from tests.support.tls import API_NAME, api_leaf, authority, client_context, cluster_authority
from tests.support.upstream import Upstream, eventually

pytestmark = pytest.mark.haproxy

MARK = ("Authorization", "Bearer the-token-of-a-caller")


def leaf(common_name: str = "kube-apiserver", *names: str, **how: object) -> Forged:
    return forge(common_name, cluster_authority(), names=names, **how)  # type: ignore[arg-type]


WRONG: dict[str, Callable[[], Forged]] = {
    "another CA": lambda: forge("kube-apiserver", authority("another CA"), names=[API_NAME]),
    "another CA of the same name": lambda: forge("kube-apiserver", authority("cluster test CA"), names=[API_NAME]),
    "signed by itself": lambda: forge("kube-apiserver", names=[API_NAME]),
    "another name": lambda: leaf("kube-apiserver", "kubernetes.default", "127.0.0.1"),
    "a longer name": lambda: leaf("kube-apiserver", f"{API_NAME}.cluster.local"),
    "a kubelet's serving certificate": lambda: leaf("system:node:node-1", "node-1", "127.0.0.1", organizations=["system:nodes"]),
    "addresses alone": lambda: leaf("kube-apiserver", "127.0.0.1"),
    "expired": lambda: leaf("kube-apiserver", API_NAME, until=timedelta(days=-1), since=timedelta(days=30)),
    "not valid yet": lambda: leaf("kube-apiserver", API_NAME, since=timedelta(days=-1)),
    "for clients only": lambda: leaf("kube-apiserver", API_NAME, usages=(CLIENT,)),
}


def without_checks(config: str) -> str:
    """An edit that takes away the health checks, so that each connection has to stand for itself, at once."""
    return re.sub(r"check inter.*", "", config).replace("retries 2", "retries 0")


@pytest.mark.parametrize("send_sni", [True, False], ids=["sni", "no sni"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_gets_no_byte(name: str, send_sni: bool) -> None:
    verification = Verification(cluster_authority().pem, API_NAME, send_sni=send_sni)
    with Upstream(WRONG[name]()) as upstream:
        with Gate(plan(upstream.endpoint, verification=verification), without_checks) as gate:
            for target in ("/plain", "/stream?watch"):
                answer = gate.ask("h1", "POST", target, MARK, body=b"{}")
                assert (answer.status, answer.json["reason"]) == (503, "ServiceUnavailable")
                assert "proved its identity" in answer.json["message"]
                assert gate.ask("h2", "GET", target, MARK).status == 503
            assert not gate.said
        assert not upstream.wires
        assert not upstream.requests


@pytest.mark.parametrize("name", ["another CA", "a kubelet's serving certificate", "expired"])
def test_a_wrong_certificate_is_noticed_before_anybody_asks(name: str) -> None:
    with Upstream(WRONG[name]()) as upstream, Gate(plan(upstream.endpoint)) as gate:
        eventually(lambda: gate.said, "the health check fails")
        assert gate.said[0].startswith(f"API server {upstream.endpoint} is down: ")
        assert gate.ask("h1", "GET", "/").status == 503
        assert not upstream.wires


@pytest.mark.parametrize("send_sni", [True, False], ids=["sni", "no sni"])
def test_the_right_certificate_passes(send_sni: bool) -> None:
    shown: list[str | None] = []
    verification = Verification(cluster_authority().pem, API_NAME, send_sni=send_sni)
    with Upstream() as upstream:
        assert upstream.context is not None
        upstream.context.sni_callback = lambda _, name, __: shown.append(name)
        with Gate(plan(upstream.endpoint, verification=verification)) as gate:
            assert gate.ask("h1", "POST", "/plain", MARK, body=b"{}").status == 200
            assert gate.ask("h2", "GET", "/stream?watch", MARK).status == 200
            eventually(lambda: upstream.health_checks, "the health check is through")
    assert set(shown) == ({API_NAME} if send_sni else {None})


@pytest.mark.parametrize("names", [["*.default.svc"], ["KUBERNETES.default.svc"], ["node-1", API_NAME]], ids=str)
def test_names_are_matched_as_clients_do(names: list[str]) -> None:
    with Upstream(leaf("kube-apiserver", *names)) as upstream, Gate(plan(upstream.endpoint)) as gate:
        assert gate.ask("h1", "GET", "/").status == 200


def test_a_bundle_of_several_authorities_will_do() -> None:
    bundle = authority("an older CA").pem + cluster_authority().pem
    verification = Verification(bundle, API_NAME, send_sni=True)
    with Upstream() as upstream, Gate(plan(upstream.endpoint, verification=verification)) as gate:
        assert gate.ask("h1", "GET", "/").status == 200


def test_the_common_name_counts_too() -> None:
    """Unlike Go, HAProxy 2.8 looks for the name there as well. The cluster's CA must not give this one to anybody else."""
    with Upstream(leaf(API_NAME, "node-1")) as upstream, Gate(plan(upstream.endpoint)) as gate:
        assert gate.ask("h1", "GET", "/").status == 200


def test_a_server_that_changes_its_certificate_is_verified_anew() -> None:
    """A new process at the same address: what was verified before, and its TLS sessions, count for nothing."""
    with Upstream() as upstream, Gate(plan(upstream.endpoint), without_checks) as gate:
        assert gate.ask("h1", "GET", "/before").status == 200
        upstream.close()
        with Upstream(WRONG["a kubelet's serving certificate"](), port=upstream.port) as impostor:
            for _ in range(3):
                assert gate.ask("h1", "GET", "/after", MARK).status == 503
            assert not impostor.wires
        upstream.start()
        assert gate.ask("h1", "GET", "/again").status == 200


def test_verification_switched_off_is_still_tls() -> None:
    with Upstream(WRONG["signed by itself"]()) as upstream, Gate(plan(upstream.endpoint, verification=None)) as gate:
        assert gate.ask("h1", "GET", "/plain", MARK).status == 200
        assert gate.ask("h1", "GET", "/stream?watch", MARK).status == 200


def test_plain_http() -> None:
    with Upstream(leaf=None) as upstream, Gate(plan(upstream.endpoint, tls=False)) as gate:
        for version in ("h1", "h2"):
            assert gate.ask(version, "POST", "/plain", MARK, body=b"{}").status == 200
            assert gate.ask(version, "GET", "/stream?watch", MARK).status == 200
        eventually(lambda: upstream.health_checks, "the health check is through")


@pytest.mark.parametrize("name", ["another CA", "another name", "expired", "a kubelet's serving certificate"])
def test_passed_through_a_wrong_server_is_marked_down(name: str) -> None:
    """The client verifies by itself here; that the gate does too keeps its connections from a server that would fail it."""
    with Upstream(WRONG[name]()) as upstream:
        with Gate(plan(upstream.endpoint, passthrough=True)) as gate:
            eventually(lambda: gate.said, "the health check fails")
            with pytest.raises(OSError):
                gate.through(client_context(cluster_authority()))
            with pytest.raises(OSError):
                gate.h1()
        assert not upstream.wires


def test_passed_through_the_right_one_stays_up() -> None:
    with Upstream(api_leaf()) as upstream, Gate(plan(upstream.endpoint, passthrough=True)) as gate:
        eventually(lambda: upstream.health_checks, "the health check is through")
        assert gate.stat("check_status", str(upstream.endpoint)) == ["L7OK"]
        assert not gate.said
