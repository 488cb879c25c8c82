"""What runs while a reload waits needs none, whatever else is declared."""

from dataclasses import replace

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.meanwhile import meanwhile
from kubegate.model.plan import Backend, Frontend, Plan, Process, Route, Shown, Timeouts, Verification
from kubegate.render.haproxy import shape
from kubegate.render.haproxy.live import change

CA = Verification(b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n", "kubernetes.default.svc", send_sni=False)
OTHER_CA = replace(CA, ca_pem=CA.ca_pem.replace(b"MA==", b"MQ=="))
A, B = Endpoint("192.0.2.1", 6443), Endpoint("192.0.2.2", 6443)


def backend(cluster: str | None, name: str = "") -> Backend:
    if cluster is None:
        return Backend(name, (), tls=True, verification=None)
    return Backend(name or cluster, (A,), tls=True, verification=CA, cluster=cluster, max_carried=100)


ONE, TWO, SPARE = backend("one"), backend("two"), backend(None, "spare:1")
FRONT = Frontend(
    "main",
    Endpoint("127.0.0.1", 6443),
    "one",
    (Shown("one", b"pem"), Shown("one", b"pem", ("one.test",)), Shown("two", b"pem", ("two.test",))),
    (Route("one.test", "one"), Route("two.test", "two")),
)
RUNNING = Plan((FRONT,), (ONE, TWO, SPARE), Process(100))
# Each of these needs a reload.
SLOWER = replace(ONE, timeouts=Timeouts(request=1000))
PASSED = replace(ONE, opened=False)


def found(*backends: Backend, front: Frontend = FRONT) -> Plan:
    """What runs meanwhile; it can be had without a reload."""
    part = meanwhile(RUNNING, Plan((front,), backends, Process(200)))
    assert change(shape(RUNNING, "/run/"), shape(part, "/run/")) is not None
    return part


def test_nothing_of_what_needs_a_reload() -> None:
    assert found(SLOWER, TWO, SPARE) == RUNNING


@pytest.mark.parametrize(
    "wanted",
    [
        replace(SLOWER, servers=(A, B)),
        replace(SLOWER, verification=OTHER_CA),
        replace(SLOWER, allow=("192.0.2.0/24",)),
        replace(SLOWER, max_carried=50),
    ],
)
def test_what_needs_none_of_the_same_cluster(wanted: Backend) -> None:
    assert found(wanted, TWO, SPARE).backends[0] == replace(wanted, timeouts=ONE.timeouts)


def test_a_limit_that_is_new_waits_and_one_that_goes_too() -> None:
    wanted = replace(SLOWER, max_carried=None, requests_per_second=5)
    assert found(wanted, TWO, SPARE).backends[0] == ONE


def test_a_cluster_that_is_gone_serves_nobody() -> None:
    front = replace(FRONT, routes=FRONT.routes[:1], certificates=FRONT.certificates[:2])
    part = found(SLOWER, front=front)
    assert part.backends[1] == replace(TWO, servers=(), verification=None, cluster=None, allow=())
    assert [route.host for route in part.frontends[0].routes] == ["one.test"]


def test_a_new_cluster_has_a_place_where_it_fits() -> None:
    three = replace(backend("three", "spare:1"), max_carried=None)
    front = replace(FRONT, routes=(*FRONT.routes, Route("three.test", "spare:1")))
    part = found(SLOWER, TWO, three, front=front)
    assert part.backends[2] == three
    assert [route.host for route in part.frontends[0].routes] == ["one.test", "two.test", "three.test"]
    limited = found(SLOWER, TWO, replace(three, max_carried=5), front=front)
    assert limited.backends[2] == SPARE
    assert [route.host for route in limited.frontends[0].routes] == ["one.test", "two.test"]


def test_names_certificates_and_the_default_lead_to_the_places_that_run() -> None:
    moved = replace(
        FRONT,
        default="two:new",
        certificates=(Shown("two", b"new"), Shown("two", b"new", ("also.test",))),
        routes=(Route("also.test", "two:new"), Route("three.test", "three")),
    )
    part = found(replace(TWO, name="two:new"), backend("three"), SLOWER, front=moved)
    [front] = part.frontends
    assert (front.default, front.routes) == ("two", (Route("also.test", "two"),))
    assert front.certificates == moved.certificates


def test_a_cluster_that_is_to_be_passed_through_serves_until_then_as_it_does() -> None:
    routes = (Route("one.test", "one", opened=False), FRONT.routes[1])
    front = replace(FRONT, routes=routes, default="two", certificates=(Shown("two", b"new"), Shown("two", b"new", ("two.test",))))
    part = found(PASSED, TWO, SPARE, front=front)
    assert part.backends[0] == ONE
    [still] = part.frontends
    assert (still.routes, still.default) == (FRONT.routes, "one")
    # A renewed certificate need not wait.
    assert [one.pem for one in still.certificates] == [b"pem", b"pem", b"new"]


def test_a_cluster_that_goes_and_takes_the_hop_with_it_is_refused_at_once() -> None:
    sealed = replace(TWO, opened=False)
    mixed = replace(FRONT, routes=(FRONT.routes[0], Route("two.test", "two", opened=False)), certificates=FRONT.certificates[:2])
    running = Plan((mixed,), (ONE, sealed, SPARE), Process(100))
    part = meanwhile(running, Plan((replace(mixed, routes=FRONT.routes[:1]),), (SLOWER,), Process(200)))
    assert change(shape(running, "/run/"), shape(part, "/run/")) is not None
    assert part.backends[1] == replace(sealed, servers=(), verification=None, cluster=None, allow=())
    assert part.frontends == (mixed,)
