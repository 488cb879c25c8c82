"""A cluster of Envoy's: the API servers of one of ours, verified by CA and name on every connection, with health checks."""

from typing import Any

from kubegate.model.plan import Backend
from kubegate.render.envoy.files import Files
from kubegate.render.envoy.values import address, extension, seconds, typed

_BALANCE = {"leastconn": "LEAST_REQUEST", "roundrobin": "ROUND_ROBIN", "random": "RANDOM"}
# Envoy's own limits are for services that shed load (1024 each); only a declared one counts.
_UNLIMITED = 1_000_000
_CHECK_TIMEOUT = 5000
_KEEPALIVE = {"keepalive_time": 30, "keepalive_interval": 10, "keepalive_probes": 3}
_CHECKS = "checks"
TLS_PARAMS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
_TLS_SOCKET = "envoy.transport_sockets.tls"


def draw(backend: Backend, files: Files) -> tuple[str, dict[str, Any]]:
    """The comment before it, and the cluster."""
    endpoints = [{"endpoint": {"address": address(server)}} for server in backend.servers]
    found = {
        "name": backend.name,
        "type": "STATIC",
        "connect_timeout": seconds(backend.timeouts.connect),
        "lb_policy": _BALANCE[backend.balance],
        # Where no server is up nobody is asked: an answer 503, and no try at servers that failed their checks.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [_limits(backend)]},
        "upstream_connection_options": {"tcp_keepalive": _KEEPALIVE},
        "health_checks": [_check(backend)],
        "load_assignment": {"cluster_name": backend.name, "endpoints": [{"lb_endpoints": endpoints}]},
        **_transport(backend, files),
    }
    if backend.opened:
        found["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http_protocol_options": {}}
            )
        }
    what = (
        "TLS is passed through"
        if not backend.opened
        else "HTTP/1.1 over verified TLS"
        if backend.verification
        else "NOT VERIFIED"
    )
    return f"The API servers of cluster {backend.cluster}: {what}.", found


def _limits(backend: Backend) -> dict[str, int]:
    carried = backend.max_carried or _UNLIMITED
    return {
        "max_connections": _UNLIMITED if backend.opened else carried,
        "max_pending_requests": _UNLIMITED,
        "max_requests": carried if backend.opened else _UNLIMITED,
        "max_retries": _UNLIMITED,
    }


def _check(backend: Backend) -> dict[str, Any]:
    interval = seconds(backend.health.interval)
    check: dict[str, Any] = {
        "timeout": seconds(_CHECK_TIMEOUT),
        "interval": interval,
        # Without traffic as with it.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_threshold": backend.health.fall,
        "healthy_threshold": backend.health.rise,
        "http_health_check": {
            "host": "kubegate-health-check",
            "path": "/readyz",
            "expected_statuses": [{"start": one, "end": one + 1} for one in (200, 401, 403)],
            # Any other answer counts as one failed check, not as all that it takes.
            "retriable_statuses": [{"start": 100, "end": 600}],
        },
    }
    if backend.tls and not backend.opened:
        check["transport_socket_match_criteria"] = {_CHECKS: True}
    return check


def _transport(backend: Backend, files: Files) -> dict[str, Any]:
    if not backend.tls:
        return {}
    tls = _tls(backend, files)
    if backend.opened:
        return {"transport_socket": tls}
    # Clients speak TLS with the API server themselves; only checks open a connection of their own.
    return {"transport_socket_matches": [{"name": _CHECKS, "match": {_CHECKS: True}, "transport_socket": tls}]}


def _tls(backend: Backend, files: Files) -> dict[str, Any]:
    common: dict[str, Any] = {"alpn_protocols": ["http/1.1"], "tls_params": TLS_PARAMS}
    fields: dict[str, Any] = {"common_tls_context": common}
    if verification := backend.verification:
        if verification.send_sni:
            fields["sni"] = verification.name
        common["validation_context"] = {
            "trusted_ca": files.authority(verification.ca_pem),
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": verification.name}}],
        }
    return extension(_TLS_SOCKET, "transport_sockets.tls.v3.UpstreamTlsContext", **fields)
