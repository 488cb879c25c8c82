"""The spec of one HTTPProxy: routes where TLS is opened, a TCP proxy where it is passed through."""

from typing import Any

from kubegate.model.config import Balance
from kubegate.render.objects import duration
from kubegate.render.sites import Site
from kubegate.render.streams import PARAMETERS, PATHS, PREFIXES
from kubegate.render.yaml_text import Object

# What HTTPProxy has no words for where TLS is passed through.
TCP_TIMEOUTS = frozenset({"request", "stream"})
# A server that is alive may answer that nobody is allowed to ask (`end` is the first one that does not count).
_ALIVE = [{"start": status, "end": status + 1} for status in (200, 401, 403)]
_STRATEGIES = {Balance.LEASTCONN: "WeightedLeastRequest", Balance.ROUNDROBIN: "RoundRobin", Balance.RANDOM: "Random"}


def proxy(site: Site, host: str, service: str) -> Object:
    """What stands below `spec`; `service` is also the beginning of the names of Secrets."""
    if not site.opened:
        return {"virtualhost": {"fqdn": host, "tls": {"passthrough": True}}, "tcpproxy": _passed(site, service)}
    virtual: Object = {"fqdn": host, "tls": {"secretName": f"{service}-tls", "minimumProtocolVersion": "1.2"}}
    if site.cluster.allow:
        # The address that connects cannot be forged; what headers say of others can.
        virtual["ipAllowPolicy"] = [{"cidr": str(network), "source": "Peer"} for network in site.cluster.allow]
    return {"virtualhost": virtual, "routes": _routes(site, service)}


def _passed(site: Site, service: str) -> Object:
    return {
        "services": [{"name": service, "port": 443}],
        "loadBalancerPolicy": {"strategy": _STRATEGIES[site.cluster.balance]},
        "healthCheckPolicy": _checked(site),
    }


def _routes(site: Site, service: str) -> list[Object]:
    """Streams first, in the order of how exactly they are told; Contour sorts in the same way."""
    timeouts = site.cluster.timeouts
    stream = {"response": "infinity", "idle": duration(timeouts.stream)}
    streams: list[list[Object]] = [
        *([{"regex": path}] for path in PATHS),
        *([{"prefix": prefix}] for prefix in PREFIXES),
        *(_parameter(name) for name in PARAMETERS),
    ]
    request = {"response": duration(timeouts.request), "idle": duration(timeouts.request)}
    return [
        *(_route(site, service, conditions, stream) for conditions in streams),
        _route(site, service, [{"prefix": "/"}], request),
    ]


def _parameter(name: str) -> list[Object]:
    return [{"prefix": "/"}, {"queryParameter": {"name": name, "present": True}}]


def _route(site: Site, service: str, conditions: list[Object], timeouts: dict[str, str]) -> Object:
    route: Object = {
        "conditions": conditions,
        "enableWebsockets": True,
        "services": [_service(site, service)],
        "timeoutPolicy": timeouts,
        "loadBalancerPolicy": {"strategy": _STRATEGIES[site.cluster.balance]},
        # A request that no server has seen may be tried on another.
        "retryPolicy": {"count": 2, "retryOn": ["connect-failure"]},
        "healthCheckPolicy": {"path": "/readyz", "expectedStatuses": _ALIVE, **_checked(site)},
    }
    if site.verification is not None and site.verification.send_sni:
        # Contour sends as SNI what it is told to write into Host, and none otherwise.
        route["requestHeadersPolicy"] = {"set": [{"name": "Host", "value": site.verification.name}]}
    return route


def _service(site: Site, service: str) -> Object:
    found: dict[str, Any] = {"name": service, "port": 443, "protocol": "tls"}
    if site.verification is not None:
        found["validation"] = {"caSecret": f"{service}-ca", "subjectName": site.verification.name}
    return found


def _checked(site: Site) -> Object:
    """Thresholds and seconds; a check that lasts longer than the interval has failed."""
    health = site.cluster.health
    seconds = int(health.interval.total_seconds())
    return {
        "intervalSeconds": seconds,
        "timeoutSeconds": seconds,
        "unhealthyThresholdCount": health.fall,
        "healthyThresholdCount": health.rise,
    }
