"""Client certificates of a listener, from declaration to plan: what is refused, what waits for a reload, and in which words."""

from dataclasses import replace

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.difference import differences
from kubegate.model.meanwhile import meanwhile
from kubegate.model.plan import Backend, Clients, Frontend, Plan, Process, Shown
from tests.unit.model.declared import gate, problems, read

ASKING = {"address": "127.0.0.1:6443", "clientCertificates": {"ca": "ca.crt"}}
PASSED = {"mode": "passthrough"}


def test_it_is_read() -> None:
    [listener] = read(gate({}, listeners=[ASKING])).config.listeners
    found = listener.client_certificates
    assert found is not None
    assert (found.mode, found.revoked, found.ca.name) == ("required", None, "ca.crt")


def test_not_where_tls_is_passed_through() -> None:
    a, b = {"hosts": ["a.test"]}, {"hosts": ["b.test"]}
    [found] = problems(gate(a, b | PASSED, listeners=[ASKING]))
    assert found.code == "config.client-certificates"
    assert "listeners[gate].clientCertificates" in found.where or "listeners[0].clientCertificates" in found.where
    assert "c1" in found.message
    assert found.hint
    # A listener of its own is the way out.
    other = {"name": "other", "address": "127.0.0.1:7443", "clusters": ["c1"]}
    assert read(gate(a, b | PASSED, listeners=[ASKING | {"clusters": ["c0"]}, other])).config.listeners


@pytest.mark.parametrize("wrong", [{"ca": "x", "mode": "never"}, {}, {"ca": ""}, {"ca": "x", "crl": "y"}])
def test_wrong_values(wrong: dict[str, str]) -> None:
    assert problems(gate({}, listeners=[ASKING | {"clientCertificates": wrong}]))


CLIENTS = Clients(b"ca", ("A" * 64,))
FRONT = Frontend("main", Endpoint("127.0.0.1", 6443), "one", (Shown("one", b"pem"),), sole=True)
BACKEND = Backend("one", (Endpoint("192.0.2.1", 6443),), tls=True, verification=None, cluster="one")


def plan(clients: Clients | None, process: int = 100) -> Plan:
    return Plan((replace(FRONT, clients=clients),), (BACKEND,), Process(process))


def test_while_a_reload_waits_what_is_revoked_counts_and_another_ca_does_not() -> None:
    wanted = Clients(b"another ca", ("A" * 64, "B" * 64), required=False)
    assert meanwhile(plan(CLIENTS), plan(wanted)).frontends[0].clients == Clients(b"ca", wanted.revoked)
    assert meanwhile(plan(None), plan(wanted)).frontends[0].clients is None
    assert meanwhile(plan(CLIENTS), plan(None)).frontends[0].clients == CLIENTS


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, CLIENTS, "are required"),
        (None, replace(CLIENTS, required=False), "are verified if shown"),
        (CLIENTS, None, "are not asked for any more"),
        (CLIENTS, replace(CLIENTS, required=False), "NOT REQUIRED any more"),
        (replace(CLIENTS, required=False), CLIENTS, "client certificates are required"),
        (CLIENTS, replace(CLIENTS, ca_pem=b"x"), "another CA"),
        (CLIENTS, replace(CLIENTS, revoked=()), "1 client certificate is NOT REVOKED any more"),
        (CLIENTS, replace(CLIENTS, revoked=(*CLIENTS.revoked, "B" * 64, "C" * 64)), "2 client certificates are revoked"),
    ],
)
def test_differences(before: Clients | None, after: Clients | None, words: str) -> None:
    [said] = differences(plan(before), plan(after))
    assert said.startswith("listener main: ")
    assert words in said


def test_no_difference() -> None:
    assert differences(plan(CLIENTS), plan(CLIENTS)) == ()
