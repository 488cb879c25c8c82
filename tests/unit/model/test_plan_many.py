"""The plan of a declared gate: which names lead where, which places clusters hold, how often API servers are checked."""

from datetime import UTC, datetime, timedelta

import pytest

from kubegate.model.address import Endpoint
from kubegate.model.config import ClusterConfig, Config, HealthConfig, ListenerConfig, Mode, UpstreamConfig
from kubegate.model.facts import ClusterFacts, Facts, FrontCertificate, ServerFact, UpstreamFacts
from kubegate.model.plan import Plan, Route
from kubegate.model.planner import plan

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def cluster(name: str, *hosts: str, mode: Mode = Mode.TERMINATE) -> ClusterConfig:
    upstream = UpstreamConfig(servers=(Endpoint("10.0.0.1", 6443),), server_name="api.example")
    return ClusterConfig(name=name, hosts=hosts, mode=mode, upstream=upstream)


def facts(*clusters: ClusterConfig, servers: int = 1) -> Facts:
    """Facts of clusters with so many API servers each."""
    found = {}
    for one in clusters:
        front = FrontCertificate(f"pem of {one.name}".encode(), one.hosts, "AA", LATER, self_signed=True, client_ca_pem=b"ca")
        at = tuple(ServerFact(f"10.0.{number // 250}.{number % 250}", 6443) for number in range(servers))
        upstream = UpstreamFacts(one.name, "", "https://api.example:6443", True, "api.example", b"ca", at)
        found[one.name] = ClusterFacts(upstream, front if one.mode is Mode.TERMINATE else None)
    return Facts(found, 1000)


def planned(*clusters: ClusterConfig, running: Plan | None = None, servers: int = 1, **listener: object) -> Plan:
    config = Config(clusters=clusters, listeners=(ListenerConfig.model_validate(listener),))
    return plan(config, facts(*clusters, servers=servers), running)


def places(found: Plan) -> dict[str, str | None]:
    return {backend.name: backend.cluster for backend in found.backends}


def test_each_name_leads_to_its_cluster_and_nobody_to_a_default_that_was_not_declared() -> None:
    [front] = planned(cluster("a", "a.test"), cluster("b", "b.test", "c.test")).frontends
    assert front.routes == (Route("a.test", "a"), Route("b.test", "b"), Route("c.test", "b"))
    assert (front.default, front.sole) == (None, False)


def test_the_certificate_of_the_default_cluster_is_the_first() -> None:
    [front] = planned(cluster("a", "a.test"), cluster("b", "b.test"), default_cluster="b").frontends
    assert [(one.name, one.hosts) for one in front.certificates] == [("b", ()), ("a", ("a.test",)), ("b", ("b.test",))]
    assert front.default == "b"


def test_one_cluster_without_names_gets_everybody() -> None:
    [front] = planned(cluster("a")).frontends
    assert (front.sole, front.default, len(front.certificates)) == (True, "a", 1)


def test_one_cluster_with_names_gets_those_who_ask_for_them() -> None:
    [front] = planned(cluster("a", "a.test")).frontends
    assert (front.sole, front.default) == (False, None)


def test_one_cluster_passed_through_needs_no_name_to_be_read() -> None:
    [front] = planned(cluster("a", "a.test", mode=Mode.PASSTHROUGH)).frontends
    assert (front.sole, front.default, front.certificates) == (True, "a", ())


def test_beside_others_it_is_led_to_by_its_name() -> None:
    [front] = planned(cluster("a", "a.test", mode=Mode.PASSTHROUGH), cluster("b", "b.test")).frontends
    assert front.routes == (Route("a.test", "a", opened=False), Route("b.test", "b"))
    assert front.passes
    assert front.opens


def test_a_new_cluster_takes_a_place_that_waits_and_the_others_stay_where_they_are() -> None:
    first = planned(cluster("a", "a.test"), cluster("b", "b.test"))
    assert places(first) == {"a": "a", "b": "b", "spare:1": None, "spare:2": None, "spare:3": None, "spare:4": None}
    second = planned(cluster("c", "c.test"), cluster("a", "a.test"), running=first)
    assert places(second) == {"a": "a", "b": None, "spare:1": "c", "spare:2": None, "spare:3": None, "spare:4": None}
    [left] = [backend for backend in second.backends if backend.name == "b"]
    assert (left.servers, left.allow, left.verification) == ((), (), None)


def test_without_enough_places_each_has_one_of_its_own_name() -> None:
    first = planned(cluster("a", "a.test"))
    many = [cluster(f"n{number}", f"n{number}.test") for number in range(6)]
    assert list(places(planned(*many, running=first)))[:6] == [f"n{number}" for number in range(6)]


def interval(found: Plan, name: str = "a") -> float:
    """Seconds between two health checks of a server."""
    return next(backend.health.interval for backend in found.backends if backend.cluster == name) / 1000


def checked(name: str, seconds: float) -> ClusterConfig:
    return cluster(name, f"{name}.test").model_copy(update={"health": HealthConfig(interval=timedelta(seconds=seconds))})


def test_health_checks_are_stretched_when_servers_are_many_and_stay_so_while_it_is_nearly_right() -> None:
    few = planned(cluster("a", "a.test"), servers=50)
    assert interval(few) == 3
    many = planned(cluster("a", "a.test"), servers=1000)
    assert interval(many) == 48
    assert interval(planned(cluster("a", "a.test"), servers=700, running=many)) == 48
    assert interval(planned(cluster("a", "a.test"), servers=1500, running=many)) == 48
    assert interval(planned(cluster("a", "a.test"), servers=2000, running=many)) == 96
    assert interval(planned(cluster("a", "a.test"), servers=50, running=many)) == 3


@pytest.mark.parametrize(("servers", "seconds"), [(68, 3), (69, 6), (136, 6), (137, 12), (500, 24), (10_000, 768)])
def test_health_checks_take_a_twentieth_of_a_core_at_most(servers: int, seconds: float) -> None:
    """Each costs about 1.1 ms of CPU time, and a server has two; intervals are multiplied by powers of two."""
    assert interval(planned(checked("a", 3), servers=servers)) == seconds
    assert 2 * servers * 0.0011 / seconds <= 0.05


def test_a_server_is_checked_once_where_tls_is_passed_through() -> None:
    sealed = checked("a", 3).model_copy(update={"mode": Mode.PASSTHROUGH})
    assert interval(planned(sealed, servers=136)) == 3
    assert interval(planned(sealed, servers=137)) == 6


def test_checks_of_all_clusters_count_each_by_its_own_interval() -> None:
    found = planned(checked("a", 1), checked("b", 60), servers=22)
    assert (interval(found, "a"), interval(found, "b")) == (1, 60)
    found = planned(checked("a", 1), checked("b", 2), servers=22)
    assert (interval(found, "a"), interval(found, "b")) == (2, 4)


def test_another_declared_interval_counts_at_once() -> None:
    found = planned(checked("a", 3))
    for seconds in (1.5, 0.3, 30):
        assert interval(planned(checked("a", seconds), running=found)) == seconds


def test_a_place_that_waits_is_checked_as_the_others() -> None:
    found = planned(checked("a", 3), servers=500)
    assert {backend.health.interval for backend in found.backends} == {24_000}


def test_no_interval_is_longer_than_the_timers_of_haproxy() -> None:
    found = planned(checked("a", 0.001), checked("b", 24 * 86_400))
    assert 0 < interval(found, "b") * 1000 < 2**31
