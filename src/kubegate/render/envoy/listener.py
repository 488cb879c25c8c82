"""A listener of Envoy's: one filter chain for each name, and one for those that ask for no name that is known."""

from collections.abc import Iterator
from typing import Any

from kubegate.model.address import Endpoint, is_address
from kubegate.model.plan import Backend, Frontend, Plan, Shown
from kubegate.render.envoy import http
from kubegate.render.envoy.cluster import TLS_PARAMS
from kubegate.render.envoy.files import Files
from kubegate.render.envoy.routes import domains, to_cluster, to_nobody
from kubegate.render.envoy.values import address, allowed, extension, seconds
from kubegate.render.status_text import ANOTHER_CLUSTER, NO_NAME_GIVEN, NOT_OPENED_HERE, UNKNOWN_NAME
from kubegate.render.targets import Options


def draw(front: Frontend, plan: Plan, files: Files, options: Options) -> tuple[str, dict[str, Any]]:
    """The comment before it, and the listener."""
    chains = list(_Chains(front, plan, files, options).all())
    found: dict[str, Any] = {
        "name": front.name,
        "address": address(front.listen, ipv4_too=_means_ipv4_too(front, plan)),
        "socket_options": _keepalive(),
    }
    if front.opens or not front.sole:
        inspector = "filters.listener.tls_inspector.v3.TlsInspector"
        found["listener_filters"] = [extension("envoy.filters.listener.tls_inspector", inspector)]
        found["listener_filters_timeout"] = "10s"
    found["filter_chains"] = chains
    what = "by the name that clients ask for in TLS (SNI)" if not front.sole else f"everybody to {front.default}"
    return f"Listener {front.name}: {what}.", found


def _means_ipv4_too(front: Frontend, plan: Plan) -> bool:
    ipv4 = Endpoint("0.0.0.0", front.listen.port)  # noqa: S104 - typed by the operator, as [::]
    return front.listen.host == "::" and ipv4 not in {one.listen for one in plan.frontends}


def _keepalive() -> list[dict[str, Any]]:
    """Dead clients are found by TCP keepalive: SO_KEEPALIVE, and Linux's numbers of TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT."""
    options = (("keepalive", 1, 9, 1), ("idle", 6, 4, 30), ("interval", 6, 5, 10), ("count", 6, 6, 3))
    return [
        {"description": name, "level": level, "name": number, "int_value": value, "state": "STATE_LISTENING"}
        for name, level, number, value in options
    ]


class _Chains:
    """The filter chains of one listener."""

    def __init__(self, front: Frontend, plan: Plan, files: Files, options: Options) -> None:
        self._front = front
        self._plan = plan
        self._files = files
        self._options = options
        led = dict.fromkeys(route.backend for route in front.routes)
        self._hosts = {name: tuple(route.host for route in front.routes if route.backend == name) for name in led}

    def all(self) -> Iterator[dict[str, Any]]:
        """Every chain; the one for no known name has no match, and is the last."""
        front = self._front
        if front.sole and front.default is not None:
            yield self._sole(self._plan.backend(front.default))
            return
        for name, hosts in self._hosts.items():
            names = [host for host in hosts if not is_address(host)]
            if names:
                yield self._named(self._plan.backend(name), names)
        if front.opens:
            yield self._unnamed()

    def _sole(self, backend: Backend) -> dict[str, Any]:
        if not backend.opened:
            return {"filters": self._passed(backend)}
        return self._opened({}, self._front.certificates[0], [to_cluster("all", ["*"], backend)])

    def _named(self, backend: Backend, names: list[str]) -> dict[str, Any]:
        """Clients that asked for this cluster's name. Their Host may be anything that is no other cluster's name."""
        match = {"filter_chain_match": {"server_names": [one for name in names for one in (name, f"{name}.")]}}
        if not backend.opened:
            return {**match, "filters": self._passed(backend)}
        shown = next(one for one in self._front.certificates if one.name == backend.cluster and one.hosts)
        others = [host for name, hosts in self._hosts.items() if name != backend.name for host in hosts if not is_address(host)]
        others += [host for host in self._front.elsewhere if host not in others]
        refused = [to_nobody("others", domains(others), ANOTHER_CLUSTER)] if others else []
        return self._opened(match, shown, [to_cluster("own", ["*"], backend), *refused])

    def _unnamed(self) -> dict[str, Any]:
        """Clients that asked for no name are led by Host, else to the default cluster; who asked for another name gets 421."""
        hosts = []
        for name, own in self._hosts.items():
            backend = self._plan.backend(name)
            if backend.opened:
                hosts.append(to_cluster(name, domains(own), backend, unless_named=UNKNOWN_NAME))
            else:
                hosts.append(to_nobody(name, domains(own), NOT_OPENED_HERE, unless_named=UNKNOWN_NAME))
        if self._front.elsewhere:
            hosts.append(to_nobody("elsewhere", domains(self._front.elsewhere), NOT_OPENED_HERE, unless_named=UNKNOWN_NAME))
        if self._front.default is not None:
            default = self._plan.backend(self._front.default)
            hosts.append(to_cluster("default", ["*"], default, unless_named=UNKNOWN_NAME))
        else:
            hosts.append(to_nobody("nobody", ["*"], NO_NAME_GIVEN, unless_named=UNKNOWN_NAME))
        return self._opened({}, self._front.certificates[0], hosts)

    def _opened(self, match: dict[str, Any], shown: Shown, hosts: list[dict[str, Any]]) -> dict[str, Any]:
        tls = {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": TLS_PARAMS,
            "tls_certificates": [self._files.certificate(shown)],
        }
        kind = "transport_sockets.tls.v3.DownstreamTlsContext"
        return {
            **match,
            "transport_socket": extension("envoy.transport_sockets.tls", kind, common_tls_context=tls),
            "transport_socket_connect_timeout": "10s",
            "filters": [http.manager(self._front.name, hosts, self._options)],
        }

    def _passed(self, backend: Backend) -> list[dict[str, Any]]:
        """The filters of a chain whose TLS is not opened."""
        filters = []
        if backend.allow is not None:
            kind = "filters.network.rbac.v3.RBAC"
            rules = allowed(backend.allow)
            filters.append(extension("envoy.filters.network.rbac", kind, stat_prefix=backend.name, rules=rules))
        proxy = extension(
            "envoy.filters.network.tcp_proxy",
            "filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix=backend.name,
            cluster=backend.name,
            idle_timeout=seconds(backend.timeouts.stream),
            max_connect_attempts=3,
        )
        return [*filters, proxy]
