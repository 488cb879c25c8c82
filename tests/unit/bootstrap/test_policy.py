"""Whether a node may have a certificate: what is approved, and each forgery beside it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from kubegate.bootstrap.csr import Csr
from kubegate.bootstrap.holders import holders
from kubegate.bootstrap.policy import Decision, Facts, Policy, Record, Verdict, decide
from kubegate.bootstrap.signers import API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING
from kubegate.bootstrap.signing_request import read_request
from tests.support.requests import NODES, key, names, request, subject

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POLICY = Policy(frozenset({"system:bootstrappers:workers"}), [re.compile("worker-[0-9]+")], longest=86400)
OWN_KEY = key()
CLIENT = frozenset({"digital signature", "client auth"})
SERVER = frozenset({"digital signature", "server auth"})


def node(name: str, *addresses: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "status": {"addresses": [{"address": one} for one in addresses]}}


SERVICE = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIPs": ["10.1.0.9"]}}
FACTS = Facts(
    NOW,
    holders([node("worker-1", "10.0.0.1"), node("worker-2", "10.0.0.2", "10.0.0.66")], [SERVICE], ["10.0.0.100"]),
    inventory={"worker-1": frozenset({"10.0.0.1", "2001:db8::1", "worker-1.example"}), "worker-2": frozenset({"10.0.0.2"})},
)
NINE = subject("system:node:worker-9", NODES)
SERVING = request("worker-1", names("worker-1", "10.0.0.1"), by=OWN_KEY)


def csr(pem: bytes, *, signer: str, user: str, groups: Iterable[str], usages: frozenset[str], seconds: int | None = None) -> Csr:
    return Csr("csr-1", "uid-1", "7", NOW, signer, user, "", tuple(groups), {}, usages, seconds, pem, (), b"")


def bootstrap(pem: bytes, group: str = "system:bootstrappers:workers", seconds: int | None = None) -> Csr:
    user, groups = "system:bootstrap:abcdef", ("system:bootstrappers", group)
    return csr(pem, signer=KUBELET_CLIENT, user=user, groups=groups, usages=CLIENT, seconds=seconds)


def of_node(pem: bytes, name: str = "worker-1", *, client: bool = False, seconds: int | None = None) -> Csr:
    signer, usages = (KUBELET_CLIENT, CLIENT) if client else (KUBELET_SERVING, SERVER)
    return csr(pem, signer=signer, user=f"system:node:{name}", groups=(NODES,), usages=usages, seconds=seconds)


def judged(one: Csr, facts: Facts = FACTS, policy: Policy = POLICY) -> Decision:
    found = decide(one, policy, facts)
    assert found is not None
    return found


def outcome(one: Csr, facts: Facts = FACTS, policy: Policy = POLICY) -> tuple[str, str]:
    found = judged(one, facts, policy)
    assert found.message
    return found.verdict.value, found.reason


def serving(*claimed: str) -> Csr:
    return of_node(request("worker-1", names(*claimed)))


def test_a_new_node_gets_its_first_certificate() -> None:
    found = judged(bootstrap(request("worker-9", by=OWN_KEY), seconds=86400))
    assert (found.verdict, found.reason, found.node, found.claimed) == (Verdict.APPROVE, "NewNode", "worker-9", ())
    assert found.key == read_request(request(by=OWN_KEY)).key_sha256


def test_a_node_renews_its_own_whether_or_not_its_name_is_one_of_the_rules() -> None:
    assert outcome(of_node(request("worker-1"), client=True)) == ("approve", "NodeRenews")
    assert outcome(of_node(request("edge"), "edge", client=True)) == ("approve", "NodeRenews")


def test_a_token_cannot_become_a_node_that_is_there() -> None:
    assert outcome(bootstrap(request("worker-1"))) == ("wait", "NodeExists")


def test_a_token_cannot_become_a_node_whose_certificate_is_valid_though_its_object_was_deleted() -> None:
    facts = replace(FACTS, records={"worker-9": Record(client_until=NOW + timedelta(days=1), request="other")})
    assert outcome(bootstrap(request("worker-9")), facts) == ("wait", "CertificateExists")
    expired = replace(FACTS, records={"worker-9": Record(client_until=NOW, request="other")})
    assert outcome(bootstrap(request("worker-9")), expired) == ("approve", "NewNode")


def test_a_decision_that_was_stored_and_not_carried_out_is_made_again() -> None:
    facts = replace(FACTS, records={"worker-9": Record(client_until=NOW + timedelta(days=1), request="uid-1")})
    assert outcome(bootstrap(request("worker-9")), facts) == ("approve", "NewNode")


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (bootstrap(request("worker-9"), group="system:bootstrappers:others"), "NotABootstrapper"),
        (bootstrap(request("master-1")), "NameNotAllowed"),
        (bootstrap(request("worker-9x")), "NameNotAllowed"),
        (bootstrap(request("Worker-9")), "WrongName"),
        (bootstrap(request("")), "WrongName"),
        (bootstrap(request("worker-9", names("worker-9"))), "WrongShape"),
        (bootstrap(request(of=subject("system:node:worker-9", NODES, "system:masters"))), "WrongShape"),
        (
            bootstrap(request(of=x509.Name([*subject("system:node:worker-9", NODES), *subject("system:node:worker-9")]))),
            "WrongShape",
        ),
        (bootstrap(request("worker-9", more=[x509.BasicConstraints(ca=True, path_length=None)])), "WrongShape"),
        (bootstrap(request("worker-9"), seconds=86401), "TooLong"),
        (bootstrap(request("worker-9") + request("worker-8")), "NotOneRequest"),
        (bootstrap(b"x" + request("worker-9")), "NotOneRequest"),
        (bootstrap(request("worker-9") + b"x"), "NotOneRequest"),
        (of_node(request("worker-2"), client=True), "AnotherNode"),
        (replace(bootstrap(request("worker-9")), groups=(NODES, "system:bootstrappers:workers")), "AnotherNode"),
        (replace(bootstrap(request("worker-9")), usages=SERVER), "WrongShape"),
    ],
)
def test_forged_client_requests_are_denied(one: Csr, reason: str) -> None:
    assert outcome(one) == ("deny", reason)


@pytest.mark.parametrize(
    "claimed",
    [("worker-1",), ("worker-1", "10.0.0.1"), ("2001:DB8:0::1",), ("worker-1.example", "worker-1", "10.0.0.1", "2001:db8::1")],
)
def test_names_of_the_inventory_are_proven(claimed: tuple[str, ...]) -> None:
    found = judged(serving(*claimed))
    assert (found.verdict, found.reason, found.node) == (Verdict.APPROVE, "NamesProven", "worker-1")
    assert len(found.claimed) == len(claimed)


def test_names_that_were_confirmed_are_proven() -> None:
    assert outcome(serving("10.9.9.9")) == ("wait", "NotProven")
    assert outcome(serving("10.9.9.9"), replace(FACTS, records={"worker-1": Record(frozenset({"10.9.9.9"}))}))[0] == "approve"


@pytest.mark.parametrize(
    ("claimed", "answer"),
    [
        ("10.0.0.2", ("deny", "NameOfAnother")),
        ("::ffff:10.0.0.2", ("deny", "NameOfAnother")),
        ("worker-2", ("deny", "NameOfAnother")),
        ("WORKER-2.", ("deny", "NameOfAnother")),
        ("10.0.0.100", ("deny", "NameOfAnother")),
        ("kubernetes.default.svc", ("deny", "NameOfAnother")),
        ("10.1.0.9", ("deny", "NameOfAnother")),
        ("pod.web.shop.svc", ("deny", "NameOfAnother")),
        ("10.0.0.66", ("wait", "NotProven")),
        ("worker-1.evil.example", ("wait", "NotProven")),
        ("worker-10", ("wait", "NotProven")),
        ("*.example", ("wait", "NotProven")),
    ],
)
def test_names_of_others_are_denied_and_names_of_nobody_wait(claimed: str, answer: tuple[str, str]) -> None:
    assert outcome(serving("worker-1", claimed)) == answer


def test_what_another_node_says_of_itself_takes_nothing_and_is_looked_at_by_a_person() -> None:
    greedy = replace(FACTS, holders=holders([node("worker-1"), node("worker-2", "10.0.0.1")], [], []))
    assert outcome(serving("10.0.0.1"), greedy) == ("wait", "Disputed")


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (of_node(request("worker-2", names("worker-2"))), "AnotherNode"),
        (replace(of_node(SERVING), user="system:serviceaccount:a:b"), "AnotherNode"),
        (replace(of_node(SERVING), groups=("system:authenticated",)), "AnotherNode"),
        (replace(of_node(SERVING), usages=SERVER | {"client auth"}), "WrongShape"),
        (of_node(request("worker-1", [*names("worker-1"), x509.RFC822Name("a@b.example")])), "WrongShape"),
        (of_node(request("worker-1", [*names("worker-1"), x509.UniformResourceIdentifier("spiffe://a")])), "WrongShape"),
        (of_node(request("worker-1", [*names("worker-1"), x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))])), "WrongShape"),
        (of_node(request("worker-1")), "WrongShape"),
        (of_node(SERVING, seconds=90000), "TooLong"),
    ],
)
def test_forged_serving_requests_are_denied(one: Csr, reason: str) -> None:
    assert outcome(one) == ("deny", reason)


def test_a_node_called_as_a_service_is_none() -> None:
    assert outcome(of_node(request("kubernetes", names("kubernetes")), "kubernetes")) == ("deny", "NameOfAnother")


def test_a_key_of_another_node_is_denied_and_its_own_may_be_used_again() -> None:
    sha = read_request(SERVING).key_sha256
    assert outcome(of_node(SERVING), replace(FACTS, keys={sha: "worker-2"})) == ("deny", "KeyReused")
    assert outcome(of_node(SERVING), replace(FACTS, keys={sha: "worker-1"})) == ("approve", "NamesProven")


def test_names_that_are_looked_up_have_to_lead_to_the_node() -> None:
    policy = replace(POLICY, resolve=True)
    one = serving("worker-1.example", "10.0.0.1")
    answers = {
        ("approve", "NamesProven"): frozenset({"10.0.0.1", "2001:db8::1"}),
        ("wait", "LeadsElsewhere"): frozenset({"10.0.0.1", "10.0.0.3"}),
        ("wait", "NoAddress"): frozenset[str](),
        ("again", "NotResolved"): None,
    }
    for answer, found in answers.items():
        assert outcome(one, replace(FACTS, resolved={"worker-1.example": found}), policy) == answer


def test_other_signers_are_not_ours() -> None:
    assert decide(replace(of_node(SERVING), signer=API_CLIENT), POLICY, FACTS) is None


_HOSTS = st.sampled_from(
    ["worker-1", "worker-2", "worker-9", "kubernetes", "web.shop.svc", "worker-1.example", "evil.example", "localhost"]
)
_ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.66", "10.0.0.100", "10.1.0.9", "2001:db8::1", "127.0.0.1"])
_KEYS = [key() for _ in range(2)]
_KNOWN_KEY = read_request(request(by=_KEYS[1])).key_sha256


@given(
    name=st.sampled_from(["worker-1", "worker-2", "worker-9", "master-1", "kubernetes"]),
    user=st.sampled_from(
        ["system:node:worker-1", "system:node:worker-2", "system:node:kubernetes", "system:bootstrap:abcdef", "anna"]
    ),
    groups=st.sets(st.sampled_from([NODES, "system:bootstrappers", "system:bootstrappers:workers", "system:masters"])),
    organizations=st.lists(st.sampled_from([NODES, "system:masters"]), max_size=2),
    claimed=st.lists(st.one_of(_HOSTS, _ADDRESSES), max_size=3, unique=True),
    signer=st.sampled_from([KUBELET_CLIENT, KUBELET_SERVING]),
    usages=st.sets(st.sampled_from(["digital signature", "key encipherment", "client auth", "server auth", "any"])),
    seconds=st.sampled_from([None, 600, 86400, 86401]),
    by=st.sampled_from(_KEYS),
)
def test_nothing_outside_the_policy_is_approved(
    name: str,
    user: str,
    groups: set[str],
    organizations: list[str],
    claimed: list[str],
    signer: str,
    usages: set[str],
    seconds: int | None,
    by: object,
) -> None:
    pem = request(claimed=names(*claimed), of=subject(f"system:node:{name}", *organizations), by=by)  # type: ignore[arg-type]
    one = csr(pem, signer=signer, user=user, groups=groups, usages=frozenset(usages), seconds=seconds)
    facts = replace(FACTS, keys={_KNOWN_KEY: "worker-2"})
    if judged(one, facts).verdict is not Verdict.APPROVE:
        return
    assert organizations == [NODES]
    assert seconds in (None, 600, 86400)
    assert by is _KEYS[0] or name == "worker-2"
    itself = user == f"system:node:{name}" and NODES in groups
    if signer == KUBELET_CLIENT:
        assert usages in ({"digital signature", "client auth"}, {"digital signature", "client auth", "key encipherment"})
        assert not claimed
        assert itself or (name == "worker-9" and "system:bootstrappers:workers" in groups and NODES not in groups)
    else:
        assert itself
        assert usages in ({"digital signature", "server auth"}, {"digital signature", "server auth", "key encipherment"})
        allowed = {
            "worker-1": {"worker-1", "worker-1.example", "10.0.0.1", "2001:db8::1"},
            "worker-2": {"worker-2", "10.0.0.2"},
        }
        assert claimed
        assert set(claimed) <= allowed[name]
