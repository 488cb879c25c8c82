"""A request as a person sees it who decides about it."""

from datetime import UTC, datetime

from kubegate.bootstrap.csr import Csr
from kubegate.bootstrap.holders import holders
from kubegate.bootstrap.review import Reviewer
from kubegate.bootstrap.signers import KUBELET_SERVING
from tests.support.requests import NODES, names, request

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOLDERS = holders([{"metadata": {"name": "worker-1"}, "status": {"addresses": [{"address": "10.0.0.1"}]}}], [], ["10.0.0.100"])


def wrong(*claimed: str) -> tuple[str, ...]:
    """What speaks against a serving certificate for these names, asked for by the node worker-1."""
    pem = request("worker-1", names(*claimed))
    usages = frozenset({"digital signature", "server auth"})
    csr = Csr("csr-1", "u", "7", NOW, KUBELET_SERVING, "system:node:worker-1", "", (NODES,), {}, usages, None, pem, (), b"")
    return Reviewer([csr], HOLDERS, NOW).review(csr).wrong


def test_nothing_speaks_against_its_own_names() -> None:
    assert wrong("worker-1", "10.0.0.1") == ()


def test_a_name_that_stands_for_many() -> None:
    [found] = wrong("worker-1", "*.default.svc.cluster.local")
    assert found == "*.default.svc.cluster.local stands for names of others, too"


def test_the_address_of_an_api_server() -> None:
    assert wrong("10.0.0.100") == ("10.0.0.100 belongs to API server",)
