"""Client certificates as HAProxy is told of them: live where a map is enough, a reload where not, and what streams end."""

from dataclasses import replace

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Clients, Frontend, Plan, Process, Shown
from kubegate.render.haproxy import CONFIG_FILE, render, shape
from kubegate.render.haproxy.live import Change, Command, Rewrite, change
from kubegate.render.haproxy.narrow import Narrowing, narrowing
from kubegate.render.haproxy.sources import Carried, read_sources

PEM = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
ONE, TWO = PEM % b"MA==", PEM % b"MQ=="
A, B = "A" * 64, "B" * 64
CLIENTS = Clients(ONE, (A,))
FRONT = Frontend("main", Endpoint("127.0.0.1", 6443), "one", (Shown("one", b"pem"),), sole=True)
BACKEND = Backend("one", (Endpoint("192.0.2.1", 6443),), tls=True, verification=None, cluster="one")


def plan(clients: Clients | None) -> Plan:
    return Plan((replace(FRONT, clients=clients),), (BACKEND,), Process(100))


def live(before: Clients | None, after: Clients | None) -> Change | None:
    return change(shape(plan(before), "/run/"), shape(plan(after), "/run/"))


def test_a_revocation_is_an_entry_of_a_map() -> None:
    found = live(CLIENTS, replace(CLIENTS, revoked=(A, B)))
    assert found is not None
    assert found.leads == (Command("add map main-revoked.map", f"{B} revoked\n".encode()),)
    assert (found.additions, found.removals) == ((), ())
    back = live(replace(CLIENTS, revoked=(A, B)), CLIENTS)
    assert back is not None
    assert back.removals == (Command(f"del map main-revoked.map {B}"),)


@pytest.mark.parametrize("after", [None, replace(CLIENTS, ca_pem=TWO), replace(CLIENTS, required=False)])
def test_everything_else_is_a_reload(after: Clients | None) -> None:
    assert live(CLIENTS, after) is None


def test_without_it_nothing_is_said_of_it() -> None:
    text = render(plan(None)).files[CONFIG_FILE].decode()
    for word in ("ssl_c_", "revoked", "verify optional", "no-tls-tickets", "cachesize", "sc2"):
        assert word not in text


def ending(what: Narrowing, certificate: str | None, *, takes_new: bool = False, front: str = "main") -> bool:
    return what.ends_session(Carried("0x1", front, "one:stream", None, certificate), takes_new=takes_new)


def test_streams_of_what_is_revoked_now_end() -> None:
    found = narrowing(plan(CLIENTS), plan(replace(CLIENTS, revoked=(A, B))))
    assert found.steps == (Rewrite("map", "main-revoked.map", (f"{A} revoked", f"{B} revoked")),)
    assert found.ends_some
    for takes_new in (True, False):
        assert [ending(found, one, takes_new=takes_new) for one in (B, A, None)] == [True, False, False]
    assert not ending(found, B, front="other")
    assert not narrowing(plan(CLIENTS), plan(CLIENTS)).ends_some


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, CLIENTS), (CLIENTS, replace(CLIENTS, ca_pem=TWO)), (replace(CLIENTS, required=False), CLIENTS)],
)
def test_where_fewer_get_in_the_streams_of_old_workers_end(before: Clients | None, after: Clients) -> None:
    found = narrowing(plan(before), plan(after))
    assert ending(found, A)
    assert not ending(found, A, takes_new=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CLIENTS, None),
        (CLIENTS, replace(CLIENTS, ca_pem=ONE + TWO)),
        (CLIENTS, replace(CLIENTS, required=False)),
        (None, replace(CLIENTS, required=False)),
    ],
)
def test_where_more_get_in_nothing_ends(before: Clients | None, after: Clients | None) -> None:
    assert not narrowing(plan(before), plan(after)).ends_some


def test_who_has_a_stream() -> None:
    session = (
        "0x1: [24/Nov/2026:17:00:00.000000] id=7 proto=tcpv4 source=127.0.0.1:5000\n  flags=0x0\n"
        "  frontend=main (id=1 mode=http), listener=? (id=1) addr=127.0.0.1:6443\n  backend=one:stream (id=2 mode=http) addr=x\n"
    )
    table = f"# table: main, type: string\n0x2: key=7@{A} use=1 exp=100 shard=0\n0x3: key=8@{B} use=1 exp=100 shard=0\n"
    assert [one.certificate for one in read_sources(session, [], [table])] == [A]
    assert [one.certificate for one in read_sources(session, [], ["No such table\n"])] == [None]
