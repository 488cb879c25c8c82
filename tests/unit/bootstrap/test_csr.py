"""A CertificateSigningRequest as JSON."""

import base64
from typing import Any

import pytest

from kubegate.bootstrap.csr import NotACsr, State, decided, read_csr
from tests.support.requests import request

PEM = request()
FOUND: dict[str, Any] = {
    "metadata": {"name": "csr-1", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {
        "signerName": "kubernetes.io/kubelet-serving",
        "username": "system:node:worker-1",
        "uid": "x",
        "groups": ["system:nodes"],
        "extra": {"k": ["v"]},
        "usages": ["server auth"],
        "expirationSeconds": 600,
        "request": base64.b64encode(PEM).decode(),
    },
}


def status(*conditions: str, certificate: bytes = b"") -> dict[str, Any]:
    given = [{"type": one, "status": "True", "reason": "r", "message": "m"} for one in conditions]
    return {**FOUND, "status": {"conditions": given, "certificate": base64.b64encode(certificate).decode()}}


def test_what_it_says() -> None:
    csr = read_csr(FOUND)
    assert (csr.name, csr.uid, csr.version, csr.user, csr.groups) == (
        "csr-1",
        "u",
        "7",
        "system:node:worker-1",
        ("system:nodes",),
    )
    assert (csr.usages, csr.seconds, csr.request) == (frozenset({"server auth"}), 600, PEM)
    assert dict(csr.extra) == {"k": ("v",)}
    assert csr.created.tzinfo is not None


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (FOUND, State.PENDING),
        (status("Approved"), State.APPROVED),
        (status("Approved", certificate=b"x"), State.ISSUED),
        (status("Denied"), State.DENIED),
        (status("Approved", "Failed"), State.FAILED),
    ],
)
def test_where_it_stands(found: dict[str, Any], state: State) -> None:
    assert read_csr(found).state is state


def test_a_decision_is_added_to_the_object_as_it_was() -> None:
    found = decided(status("Other"), State.DENIED, "Wrong", "because")
    assert [one["type"] for one in found["status"]["conditions"]] == ["Other", "Denied"]
    assert found["metadata"]["resourceVersion"] == "7"
    csr = read_csr(found)
    assert (condition := csr.condition("Denied")) and (condition.reason, condition.message) == ("Wrong", "because")
    assert csr.condition("Approved") is None


@pytest.mark.parametrize(
    "found", [{}, {**FOUND, "spec": {}}, {**FOUND, "spec": {**FOUND["spec"], "request": "%"}}, {"metadata": 1}]
)
def test_what_is_none_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(NotACsr):
        read_csr(found)
