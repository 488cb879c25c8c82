"""What each signer signs, as kube-controller-manager has it."""

import pytest
from cryptography import x509

from kubegate.bootstrap.signers import API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Asked, is_known, node_name, shape_problems
from kubegate.bootstrap.signing_request import read_request
from tests.support.requests import NODES, names, request, subject

CLIENT = ("digital signature", "client auth")
SERVER = ("digital signature", "server auth")
NODE = request()
OWN = names("worker-1", "10.0.0.7")
MAIL, URI = x509.RFC822Name("a@b.example"), x509.UniformResourceIdentifier("spiffe://a")


def problems(signer: str, pem: bytes, *usages: str) -> list[str]:
    return shape_problems(signer, Asked(read_request(pem), frozenset(usages)))


@pytest.mark.parametrize(
    ("signer", "pem", "usages"),
    [
        (KUBELET_CLIENT, NODE, CLIENT),
        (KUBELET_CLIENT, NODE, (*CLIENT, "key encipherment")),
        (KUBELET_SERVING, request(claimed=OWN), SERVER),
        (KUBELET_SERVING, request(claimed=names("10.0.0.7")), (*SERVER, "key encipherment")),
        (API_CLIENT, request(of=subject("anna", "dev"), claimed=[*OWN, MAIL, URI]), CLIENT),
        (API_CLIENT, request(of=subject("")), ("client auth",)),
        ("example.com/own", request(of=subject("anna")), ("any",)),
    ],
)
def test_what_is_signed(signer: str, pem: bytes, usages: tuple[str, ...]) -> None:
    assert problems(signer, pem, *usages) == []


@pytest.mark.parametrize(
    ("signer", "pem", "usages", "count"),
    [
        (KUBELET_CLIENT, request(of=subject("system:node:a")), CLIENT, 1),
        (KUBELET_CLIENT, request(of=subject("system:node:a", NODES, "system:masters")), CLIENT, 1),
        (KUBELET_CLIENT, request(of=subject("node:a", NODES)), CLIENT, 1),
        (KUBELET_CLIENT, request(claimed=names("a")), CLIENT, 1),
        (KUBELET_CLIENT, request(claimed=[*OWN, MAIL, URI]), CLIENT, 4),
        (KUBELET_CLIENT, NODE, SERVER, 1),
        (KUBELET_CLIENT, NODE, (*CLIENT, "server auth"), 1),
        (KUBELET_CLIENT, NODE, ("client auth",), 1),
        (KUBELET_SERVING, NODE, SERVER, 1),
        (KUBELET_SERVING, request(claimed=[*OWN, MAIL]), SERVER, 1),
        (KUBELET_SERVING, request(claimed=[URI]), SERVER, 2),
        (KUBELET_SERVING, request(claimed=OWN), (*SERVER, "client auth"), 1),
        (API_CLIENT, NODE, SERVER, 2),
        (API_CLIENT, NODE, (*CLIENT, "cert sign"), 1),
    ],
)
def test_what_is_not_signed(signer: str, pem: bytes, usages: tuple[str, ...], count: int) -> None:
    assert len(problems(signer, pem, *usages)) == count


def test_names_of_nodes() -> None:
    assert (node_name("system:node:a"), node_name("system:nodes:a"), node_name("a")) == ("a", "", "")
    assert [is_known(one) for one in (KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT, "example.com/own")] == [
        True,
        True,
        True,
        False,
    ]
