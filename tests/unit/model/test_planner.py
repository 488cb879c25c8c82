"""What a declaration means: above all, by which name an API server is verified."""

import dataclasses
from datetime import UTC, datetime

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.config import ClusterConfig, Config, Mode
from kubegate.model.facts import ClusterFacts, Facts, FrontCertificate, PeerCertificate, ServerFact, UpstreamFacts
from kubegate.model.planner import backend_name, plan_sole
from kubegate.model.problem import InvalidInput

LATER = datetime(2030, 1, 1, tzinfo=UTC)
GATE = Config(clusters=(ClusterConfig(),))
FRONT = FrontCertificate(pem=b"front", names=("127.0.0.1",), sha256="AA", not_after=LATER, self_signed=True, client_ca_pem=b"ca")


def server(*dns: str, address: str = "10.0.0.1", trouble: str = "") -> ServerFact:
    """An API server that showed a certificate with these names, or none."""
    shown = PeerCertificate(dns_names=dns, ip_addresses=(address,), not_after=LATER)
    return ServerFact(address, 6443, None if trouble else shown, trouble)


def facts(name: str, *servers: ServerFact, tls: bool = True, ca: bytes | None = b"ca") -> Facts:
    """Facts about an upstream that clients verify as `name`."""
    upstream = UpstreamFacts("lab", "kubeconfig: server", f"https://{name}:6443", tls, name, ca, servers)
    return Facts({"cluster": ClusterFacts(upstream, FRONT)}, 100)


def verification(found: Facts) -> tuple[str, bool]:
    """The name that HAProxy verifies, and whether it is sent as SNI."""
    checked = plan_sole(GATE, found).backends[0].verification
    assert checked is not None
    return checked.name, checked.send_sni


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("kubernetes", "kubernetes.default", "kubernetes.default.svc"), "kubernetes.default.svc"),
        (("kubernetes.default.svc.cluster.local", "cp-1"), "kubernetes.default.svc.cluster.local"),
        (("kubernetes.default.svc.lab.example", "kubernetes.default.svc"), "kubernetes.default.svc"),
    ],
)
def test_an_address_is_verified_by_a_name_that_no_node_has(names: tuple[str, ...], chosen: str) -> None:
    assert verification(facts("10.0.0.1", server(*names))) == (chosen, False)


@pytest.mark.parametrize(
    "names",
    [(), ("cp-1",), ("localhost", "kubernetes"), ("kubernetes.default.svcx",), ("x.kubernetes.default.svc",), ("*.default.svc",)],
)
def test_an_address_without_such_a_name_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="no DNS name that only an API server can have"):
        plan_sole(GATE, facts("10.0.0.1", server(*names)))


def test_a_name_is_verified_as_it_is_and_sent() -> None:
    assert verification(facts("api.example", server("api.example"))) == ("api.example", True)


def test_servers_must_agree_on_the_name() -> None:
    both = server("kubernetes.default.svc"), server("kubernetes.default.svc.x", address="10.0.0.2")
    with pytest.raises(InvalidInput):
        plan_sole(GATE, facts("10.0.0.1", *both))


def test_one_dead_server_of_two_is_no_problem_and_stays_in_the_plan() -> None:
    dead = server(address="10.0.0.2", trouble="nothing answers")
    planned = plan_sole(GATE, facts("api.example", server("api.example"), dead))
    assert planned.backends[0].servers == (Endpoint("10.0.0.1", 6443), Endpoint("10.0.0.2", 6443))


def test_all_servers_dead_are_as_many_problems() -> None:
    dead = [server(address=f"10.0.0.{n}", trouble=f"no answer {n}") for n in (1, 2)]
    with pytest.raises(InvalidInput) as refused:
        plan_sole(GATE, facts("api.example", *dead))
    assert [problem.message for problem in refused.value.problems] == ["no answer 1", "no answer 2"]


def test_without_a_ca_nothing_is_verified() -> None:
    backend = plan_sole(GATE, facts("10.0.0.1", ServerFact("10.0.0.1", 6443), ca=None)).backends[0]
    assert (backend.tls, backend.verification) == (True, None)


def test_passed_through_the_gate_has_no_certificate() -> None:
    config = Config(clusters=(ClusterConfig(mode=Mode.PASSTHROUGH),))
    assert plan_sole(config, facts("api.example", server("api.example"))).frontends[0].certificates == ()
    [shown] = plan_sole(GATE, facts("api.example", server("api.example"))).frontends[0].certificates
    assert shown.pem == b"front"


def test_a_gate_that_opens_tls_is_never_planned_without_a_certificate() -> None:
    found = facts("api.example", server("api.example")).clusters["cluster"]
    with pytest.raises(ValueError, match="needs a certificate"):
        plan_sole(GATE, Facts({"cluster": dataclasses.replace(found, front=None)}, 100))


@pytest.mark.parametrize(
    ("context", "name"),
    [("lab", "lab"), ("admin@lab", "admin-lab"), ("arn:aws:eks:x/y", "arn-aws-eks-x-y"), ("äöü", "cluster"), ("-a-", "a")],
)
def test_context_names_become_section_names(context: str, name: str) -> None:
    assert backend_name(context) == name
