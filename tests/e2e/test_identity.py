"""Who is calling stays the caller's own affair: what the API server's audit events say about requests through the gate."""

import base64
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.support.expose import Exposed


class Caller:
    """Raw requests through a gate, each found again in the audit log by a mark in its query."""

    def __init__(self, gate: Exposed, cluster: Cluster) -> None:
        config = yaml.safe_load(Path(gate.facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
        authority = base64.b64decode(config["certificate-authority-data"]).decode()
        self._cluster = cluster
        self._name = config.get("tls-server-name", "127.0.0.1")
        context = ssl.create_default_context(cadata=authority)
        self.client = httpx.Client(verify=context, base_url=config["server"], trust_env=False)

    def send(self, headers: Sequence[tuple[str, str]]) -> tuple[httpx.Response, dict[str, Any]]:
        """The answer, and the audit event of the request."""
        mark = secrets.token_hex(8)
        answer = self.client.get(
            f"/api/v1/namespaces/dev/configmaps?mark={mark}", headers=list(headers), extensions={"sni_hostname": self._name}
        )
        return answer, self._event(mark)

    def _event(self, mark: str) -> dict[str, Any]:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for event in self._cluster.audit_events():
                if f"mark={mark}" in event["requestURI"] and event["stage"] == "ResponseComplete":
                    return event
            time.sleep(0.1)
        raise AssertionError("the API server never heard of it")


@pytest.fixture
def caller(gates: Mapping[str, Exposed], cluster: Cluster) -> Iterator[Caller]:
    """Requests through the gate that opens TLS."""
    found = Caller(gates["terminate"], cluster)
    with found.client:
        yield found


def bearer(cluster: Cluster, account: str) -> tuple[str, str]:
    """An account's own token."""
    return "Authorization", f"Bearer {cluster.accounts[account].token}"


def test_a_caller_without_a_credential_is_anonymous(caller: Caller) -> None:
    answer, event = caller.send([])
    assert answer.status_code == 403
    assert 'User "system:anonymous" cannot list' in answer.json()["message"]
    assert event["user"]["username"] == "system:anonymous"


def test_a_wrong_token_is_nobody(caller: Caller) -> None:
    answer = caller.client.get("/api", headers=[("Authorization", "Bearer wrong")])
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"


def test_the_callers_token_is_the_identity(caller: Caller, cluster: Cluster) -> None:
    answer, event = caller.send([bearer(cluster, "developer")])
    assert answer.status_code == 200
    assert event["user"]["username"] == "developer"


def test_the_audit_log_shows_the_callers_address_and_no_other(caller: Caller, cluster: Cluster) -> None:
    claims = [("X-Forwarded-For", "203.0.113.7"), ("X-Real-Ip", "203.0.113.8"), ("Forwarded", "for=203.0.113.9")]
    _, event = caller.send([bearer(cluster, "developer"), *claims])
    # The last address is the gate itself, as the API server saw it.
    assert event["sourceIPs"][0] == "127.0.0.1"
    assert not any(address.startswith("203.0.113.") for address in event["sourceIPs"])


@pytest.mark.parametrize("name", ["X-Remote-User", "x-remote-user", "X-REMOTE-USER"])
def test_front_proxy_headers_of_a_client_do_not_arrive(caller: Caller, cluster: Cluster, name: str) -> None:
    forged = [(name, "admin"), ("X-Remote-Group", "system:masters"), ("X-Remote-Extra-Scopes", "all")]
    answer, event = caller.send(forged)
    assert answer.status_code == 403
    assert event["user"]["username"] == "system:anonymous"
    answer, event = caller.send([bearer(cluster, "developer"), *forged])
    assert event["user"]["username"] == "developer"


def test_impersonation_is_decided_by_the_api_server(caller: Caller, cluster: Cluster) -> None:
    wanted = [("Impersonate-User", "viewer"), ("Impersonate-Group", "viewers"), ("Impersonate-Extra-Some_key", "some value")]
    answer, event = caller.send([bearer(cluster, "admin-token"), *wanted])
    assert answer.status_code == 200
    assert event["user"]["username"] == "admin-token"
    assert event["impersonatedUser"]["username"] == "viewer"
    assert event["impersonatedUser"]["groups"] == ["viewers", "system:authenticated"]
    assert event["impersonatedUser"]["extra"] == {"some_key": ["some value"]}
    answer, event = caller.send([bearer(cluster, "developer"), *wanted])
    assert answer.status_code == 403
    assert event["user"]["username"] == "developer"


@pytest.mark.parametrize(
    "hostile",
    [
        ("Connection", "close, Impersonate-User"),
        ("Connection", "AUTHORIZATION"),
        ("Impersonate_User", "admin"),
        ("X_Remote_User", "admin"),
        ("Authorization", "Bearer second"),
    ],
    ids=lambda pair: f"{pair[0]}: {pair[1]}",
)
def test_hostile_forms_end_at_the_gate(caller: Caller, cluster: Cluster, hostile: tuple[str, str]) -> None:
    mark = secrets.token_hex(8)
    answer = caller.client.get(f"/api?mark={mark}", headers=[bearer(cluster, "developer"), hostile])
    assert answer.status_code == 400
    assert answer.json()["kind"] == "Status"
    caller.send([bearer(cluster, "developer")])
    assert not [event for event in cluster.audit_events() if f"mark={mark}" in event["requestURI"]]


def test_passthrough_lets_a_client_certificate_through(gates: Mapping[str, Exposed], cluster: Cluster) -> None:
    config = yaml.safe_load(Path(gates["passthrough"].facts["kubeconfig"]).read_text())["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=base64.b64decode(config["certificate-authority-data"]).decode())
    account = cluster.accounts["admin"]
    assert account.client is not None
    context.load_cert_chain(account.client.certificate, account.client.key)
    with httpx.Client(verify=context, trust_env=False) as client:
        answer = client.post(
            f"{config['server']}/apis/authentication.k8s.io/v1/selfsubjectreviews",
            json={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            extensions={"sni_hostname": config["tls-server-name"]},
        )
    assert "system:masters" in answer.json()["status"]["userInfo"]["groups"]
