"""What the Runtime API is told, and in which order: new things, then what leads to them, and what goes comes last."""

from dataclasses import replace

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Frontend, Health, Plan, Process, Route, Shown, Timeouts, Verification
from kubegate.render.haproxy import shape
from kubegate.render.haproxy.backend import names, server_address
from kubegate.render.haproxy.live import Change, Command, Rewrite, change
from kubegate.render.haproxy.ranges import written

A, B, C = (Endpoint(f"192.0.2.{number}", 6443) for number in (1, 2, 3))
PEM = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
CA = Verification(PEM % b"MA==", "kubernetes.default.svc", send_sni=False)
OTHER_CA = replace(CA, ca_pem=PEM % b"MQ==")
ONE = Backend("one", (A, B), tls=True, verification=CA, cluster="one", allow=("10.0.0.0/8",), max_carried=100)
PLACE = Backend("spare:1", (), tls=True, verification=None, allow=())
SHOWN = (Shown("one", b"pem"), Shown("one", b"pem", ("one.test",)))
FRONT = Frontend("main", Endpoint("127.0.0.1", 6443), "one", SHOWN, (Route("one.test", "one"),))
PLAN = Plan((FRONT,), (ONE, PLACE), Process(100))


def to(*backends: Backend, front: Frontend = FRONT, process: Process = PLAN.process) -> Change | None:
    """What leads there from PLAN."""
    return change(shape(PLAN, "/run/"), shape(Plan((front,), backends, process), "/run/"))


def live(*backends: Backend, front: Frontend = FRONT) -> Change:
    """The same where no reload is needed."""
    found = to(*backends, front=front)
    assert found is not None
    return found


def texts(steps: tuple[Command | Rewrite, ...]) -> list[str]:
    """Steps as words, without names of files."""
    return [one.text if isinstance(one, Command) else f"rewrite {one.kind} {', '.join(one.lines)}" for one in steps]


def test_nothing_is_told_where_nothing_is_different() -> None:
    assert live(ONE, PLACE).is_empty


@pytest.mark.parametrize(
    ("backend", "process"),
    [
        (replace(ONE, balance="roundrobin"), PLAN.process),
        (replace(ONE, timeouts=Timeouts(request=1)), PLAN.process),
        (replace(ONE, health=Health(interval=1000)), PLAN.process),
        (replace(ONE, max_carried=None), PLAN.process),
        (replace(ONE, requests_per_second=5), PLAN.process),
        (replace(ONE, opened=False), PLAN.process),
        (ONE, Process(200)),
        (ONE, Process(100, threads=2)),
        (ONE, Process(100, access_log=True)),
    ],
)
def test_what_only_a_reload_can_change(backend: Backend, process: Process) -> None:
    assert to(backend, PLACE, process=process) is None


def test_another_listener_is_a_reload() -> None:
    assert to(ONE, PLACE, front=replace(FRONT, listen=Endpoint("127.0.0.1", 6444))) is None
    assert to(ONE, PLACE, front=replace(FRONT, proxy_from=("10.0.0.0/8",))) is None


def test_a_new_server_is_registered_checked_and_enabled_in_every_section() -> None:
    found = live(replace(ONE, servers=(A, B, C)), PLACE)
    for section in names(ONE):
        [name] = found.arrived[section]
        assert server_address(name) == str(C)
        told = [text for text in texts(found.additions) if f" {section}/" in text]
        assert [text.split(" ")[0:2] for text in told] == [["add", "server"], ["enable", "health"], ["enable", "server"]]
    assert not found.retired


def test_a_server_that_goes_is_retired_and_none_arrives() -> None:
    found = live(replace(ONE, servers=(A,)), PLACE)
    assert {section: [server_address(one) for one in gone] for section, gone in found.retired.items()} == {
        section: [str(B)] for section in names(ONE)
    }
    assert (found.arrived, found.additions) == ({}, ())


def test_with_another_ca_servers_of_the_same_addresses_come_and_are_given_nothing_yet() -> None:
    found = live(replace(ONE, verification=OTHER_CA), PLACE)
    told = texts(found.additions)
    authorities = [text for text in told if "ssl ca-file" in text]
    assert told[: len(authorities)] == authorities
    assert [text.split(" ")[0] for text in authorities] == ["new", "set", "commit"]
    assert sum(text.endswith(" state drain") for text in told) == 2 * len(names(ONE))
    assert not any(text.startswith("enable server") for text in told)
    assert set(found.retired) == set(found.arrived) == set(names(ONE))
    # Those that leave have read it already.
    assert any(text.startswith("del ssl ca-file") for text in texts(found.removals))


def test_a_server_that_comes_back_before_it_has_gone_is_taken_again() -> None:
    shorter = shape(Plan((FRONT,), (replace(ONE, servers=(A,)), PLACE), PLAN.process), "/run/")
    whole = shape(PLAN, "/run/")
    leaving = [(section, name) for section in names(ONE) for name in whole.servers[section] if server_address(name) == str(B)]
    found = change(shorter, whole, leaving)
    assert found is not None
    assert texts(found.additions) == [f"set server {section}/{name} state ready" for section, name in leaving]


def test_ranges_are_written_anew_as_a_whole() -> None:
    found = live(replace(ONE, allow=("10.0.0.0/8", "192.0.2.0/24")), PLACE)
    assert texts(found.leads) == [f"rewrite acl {', '.join(written(('10.0.0.0/8', '192.0.2.0/24')))}"]
    assert not found.additions
    assert not found.removals


def test_a_renewed_certificate_is_set_and_committed_and_its_key_is_not_shown() -> None:
    renewed = tuple(replace(one, pem=b"secret") for one in SHOWN)
    told = live(ONE, PLACE, front=replace(FRONT, certificates=renewed)).additions
    assert [text.split(" ")[0] for text in texts(told)] == ["set", "commit"] * 2
    assert "secret" not in repr(told)


def test_a_new_cluster_in_a_free_place_has_servers_before_its_name_leads_there() -> None:
    two = replace(ONE, name="spare:1", cluster="two", servers=(C,), max_carried=None)
    front = replace(FRONT, routes=(*FRONT.routes, Route("two.test", "spare:1")))
    found = live(ONE, two, front=front)
    assert any(text.startswith("add server spare:1/") for text in texts(found.additions))
    assert "add map main-hosts.map" in texts(found.leads)


def test_a_name_that_goes_is_removed_last() -> None:
    front = replace(FRONT, routes=(), default=None)
    found = live(ONE, PLACE, front=front)
    assert {text for text in texts(found.removals) if "map" in text} == {
        "del map main-hosts.map one.test",
        "del map main-hosts.map .",
    }


def test_many_names_are_one_transaction() -> None:
    routes = tuple(Route(f"n{number}.test", "one") for number in range(200))
    found = live(ONE, PLACE, front=replace(FRONT, routes=routes))
    assert [one.kind for one in found.leads if isinstance(one, Rewrite)] == ["map"]
    assert not any("map" in text for text in texts(found.removals))


def test_a_range_that_is_no_range_is_never_told() -> None:
    drawn = shape(PLAN, "/run/")
    wrong = replace(drawn, ranges=dict.fromkeys(drawn.ranges, ("10.0.0.0/8; shutdown session 1",)))
    with pytest.raises(ValueError, match="characters"):
        change(drawn, wrong)
