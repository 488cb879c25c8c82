"""What workers of earlier configurations learn about names: where these lead now, in backends of their own."""

import dataclasses

from kubegate.model.address import Endpoint
from kubegate.model.plan import Backend, Frontend, Plan, Process, Route, Shown
from kubegate.render.haproxy.live import Command
from kubegate.render.haproxy.narrow import narrowing

SERVERS = (Endpoint("192.0.2.1", 6443),)
SHOWN = (Shown("one", b"pem"), Shown("one", b"pem", ("one.test",)))


def backend(cluster: str, name: str = "", *, opened: bool = True) -> Backend:
    return Backend(name or cluster, SERVERS, tls=True, verification=None, opened=opened, cluster=cluster)


def plan(front: Frontend, *backends: Backend) -> Plan:
    return Plan((front,), backends, Process(100))


def front(*routes: Route, default: str | None = None, elsewhere: tuple[str, ...] = ()) -> Frontend:
    return Frontend("main", Endpoint("127.0.0.1", 6443), default, SHOWN, routes, elsewhere)


def told(before: Plan, after: Plan) -> list[str]:
    """What such a worker is told about names."""
    return [step.text for step in narrowing(before, after).steps if isinstance(step, Command)]


ONE, TWO = Route("one.test", "one"), Route("two.test", "two")
BEFORE = plan(front(ONE, TWO, default="one"), backend("one"), backend("two"))


def test_nothing_about_names_that_lead_where_they_led() -> None:
    assert told(BEFORE, BEFORE) == []


def test_nothing_where_only_the_place_of_a_cluster_is_another() -> None:
    moved = plan(
        front(Route("one.test", "spare:1"), Route("two.test", "two"), default="spare:1"),
        backend("two"),
        backend("one", "spare:1"),
    )
    assert told(BEFORE, moved) == []


def test_a_name_that_is_gone_leads_nowhere() -> None:
    assert told(BEFORE, plan(front(ONE, default="one"), backend("one"), backend("two"))) == ["del map main-hosts.map two.test"]


def test_a_name_of_another_cluster_leads_there_by_the_worker_s_own_backend() -> None:
    swapped = front(Route("one.test", "two"), Route("two.test", "spare:1"), default="spare:1")
    assert told(BEFORE, plan(swapped, backend("two"), backend("one", "spare:1"))) == [
        "set map main-hosts.map one.test two",
        "set map main-hosts.map two.test one",
    ]


def test_a_name_of_a_cluster_that_the_worker_has_not_leads_nowhere() -> None:
    after = plan(front(Route("one.test", "three"), TWO), backend("one"), backend("two"), backend("three"))
    assert told(BEFORE, after) == ["del map main-hosts.map one.test", "del map main-hosts.map ."]


def test_another_default_cluster_counts_for_those_who_give_no_name() -> None:
    assert told(BEFORE, plan(front(ONE, TWO, default="two"), *BEFORE.backends)) == ["set map main-hosts.map . two"]


def test_a_cluster_whose_tls_is_not_opened_any_more_is_said_to_be_so() -> None:
    sealed = plan(front(ONE, dataclasses.replace(TWO, opened=False), default="one"), backend("one"), backend("two", opened=False))
    assert told(BEFORE, sealed) == ["set map main-hosts.map two.test !"]


def test_a_cluster_that_went_to_another_listener_is_not_opened_here() -> None:
    assert told(BEFORE, plan(front(ONE, default="one", elsewhere=("two.test",)), *BEFORE.backends)) == [
        "set map main-hosts.map two.test !"
    ]


def test_a_cluster_that_gets_everybody_keeps_those_who_gave_names() -> None:
    everybody = dataclasses.replace(front(default="one"), sole=True)
    assert told(plan(front(ONE), backend("one")), plan(everybody, backend("one"))) == []


def test_a_listener_that_is_gone_leads_nobody_anywhere() -> None:
    assert told(BEFORE, Plan((), BEFORE.backends, Process(100))) == [
        "del map main-hosts.map one.test",
        "del map main-hosts.map two.test",
        "del map main-hosts.map .",
    ]


def test_a_cluster_that_went_to_another_listener_has_no_streams_here_any_more() -> None:
    gone = plan(front(ONE, default="one", elsewhere=("two.test",)), *BEFORE.backends)
    assert narrowing(BEFORE, gone).left == {("main", "two"), ("main", "two:stream")}
    assert narrowing(BEFORE, BEFORE).left == frozenset()


def test_behind_a_hop_those_streams_are_where_tls_is_opened() -> None:
    sealed = Route("three.test", "three", opened=False)
    backends = (*BEFORE.backends, backend("three", opened=False))
    before = plan(front(ONE, TWO, sealed, default="one"), *backends)
    assert narrowing(before, plan(front(ONE, sealed, default="one"), *backends)).left == {
        ("main:opened", "two"),
        ("main:opened", "two:stream"),
    }
    assert narrowing(before, plan(front(ONE, TWO, default="one"), *backends)).left == {("main", "three")}


def test_a_listener_that_goes_ends_nothing() -> None:
    other = dataclasses.replace(front(ONE, TWO), name="other")
    assert narrowing(BEFORE, plan(other, *BEFORE.backends)).left == frozenset()
