"""What is wrong with a declaration as a whole: names, addresses, and whether every cluster can be reached. Pure.

How a client comes to its cluster: the name that it asks for in TLS (SNI) leads it. Clients of a URL with an address send none;
they are led by their Host, which is only read where TLS is opened, and else to the listener's default cluster. A cluster without
names that stands alone behind a listener gets everybody there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubegate.model.address import Endpoint, is_address
from kubegate.model.cluster_checks import cluster_flaws
from kubegate.model.config import ClusterConfig, Config, ListenerConfig, Mode
from kubegate.model.names import closest
from kubegate.model.places import Flaw, Loc


def flaws_of(config: Config) -> list[Flaw]:
    """Everything that is wrong with these values together, by the keys of a file."""
    found = [*_same_names("listeners", config.listeners), *_same_names("clusters", config.clusters)]
    found += [*_same_addresses(config), *_same_hosts(config.clusters)]
    gate = _Gate(config)
    found += [*gate.unknown_clusters(), *gate.defaults(), *gate.unreachable(), *gate.unseen_clients()]
    for number, cluster in enumerate(config.clusters):
        found += cluster_flaws(cluster, ("clusters", number))
    return found


def _same_names(kind: str, named: Sequence[ListenerConfig | ClusterConfig]) -> Iterator[Flaw]:
    first: dict[str, Loc] = {}
    for number, one in enumerate(named):
        loc: Loc = (kind, number, "name")
        other = first.setdefault(one.name, loc)
        if other != loc:
            kind_of_one = kind.removesuffix("s")
            message = f"is {one.name}, as is the name of another {kind_of_one}"
            yield Flaw(
                loc, "duplicate", message, f"give each {kind_of_one} a name of its own", other=other, rests_on=(loc, other)
            )


def _same_addresses(config: Config) -> Iterator[Flaw]:
    """The same address twice: HAProxy would listen twice, and connections would land here or there by chance.

    An address beside 0.0.0.0 or [::] on its port is no collision: connections to it go to it, all others to the wildcard.
    """
    addresses: list[tuple[Loc, Endpoint]] = [(("listeners", n, "address"), one.address) for n, one in enumerate(config.listeners)]
    if config.metrics is not None:
        addresses.append((("metrics", "address"), config.metrics.address))
    first: dict[Endpoint, Loc] = {}
    for loc, address in addresses:
        other = first.setdefault(address, loc)
        if other != loc and address.port:
            yield Flaw(
                loc,
                "duplicate",
                f"is {address}, on which a listener has been declared already",
                "choose another port or address",
                other=other,
                rests_on=(loc, other),
            )


def _same_hosts(clusters: Sequence[ClusterConfig]) -> Iterator[Flaw]:
    first: dict[str, Loc] = {}
    for number, cluster in enumerate(clusters):
        for position, host in enumerate(cluster.hosts):
            loc: Loc = ("clusters", number, "hosts", position)
            other = first.setdefault(host, loc)
            if other == loc:
                continue
            within = "this cluster" if other[1] == number else "another cluster, and a name leads to one"
            message = f"is {host}, which stands already with {within}"
            yield Flaw(loc, "duplicate", message, "leave one of them out", other=other, rests_on=(loc, other))


@dataclass(frozen=True, slots=True)
class _Gate:
    """Listeners, and the clusters behind each."""

    config: Config

    def unknown_clusters(self) -> Iterator[Flaw]:
        """Clusters that a listener names and that are not declared, or are named twice."""
        known = {cluster.name for cluster in self.config.clusters}
        for number, listener in enumerate(self.config.listeners):
            for position, name in enumerate(listener.clusters):
                loc: Loc = ("listeners", number, "clusters", position)
                if name not in known:
                    yield self._unknown(loc, name)
                elif listener.clusters.index(name) != position:
                    yield Flaw(loc, "duplicate", f"names {name} a second time", "leave one of them out")

    def _unknown(self, loc: Loc, name: str) -> Flaw:
        """The flaw that no cluster has this name; moot where the name of one could not be read."""
        found = closest(name, (cluster.name for cluster in self.config.clusters))
        hint = f"did you mean {found}?" if found else "declare it under clusters, or leave it out"
        names: list[Loc] = [("clusters", number, "name") for number in range(len(self.config.clusters))]
        return Flaw(loc, "unknown-cluster", f"is {name}, and no cluster has this name", hint, rests_on=(loc, *names))

    def defaults(self) -> Iterator[Flaw]:
        """Default clusters to which nobody can be led."""
        for number, listener in enumerate(self.config.listeners):
            name, loc = listener.default_cluster, ("listeners", number, "defaultCluster")
            if name is None:
                continue
            here = self.config.reached_at(listener)
            cluster = self.config.cluster(name)
            if cluster is None:
                yield self._unknown(loc, name)
            elif listener.clusters and name not in listener.clusters:
                message, hint = f"is {name}, which is not among the clusters of this listener", f"add {name} to its clusters"
                yield Flaw(loc, "default-cluster", message, hint, rests_on=(loc, ("listeners", number, "clusters")))
            elif cluster.mode is Mode.PASSTHROUGH and len(here) > 1:
                yield Flaw(
                    loc,
                    "default-cluster",
                    f"is {name}, whose TLS is not opened: of clients that give no name the Host must be read first, and only an "
                    "opened connection shows it",
                    f"choose a cluster with mode: terminate, or give {name} a listener of its own",
                    rests_on=(loc, ("listeners", number, "clusters"), ("clusters", self.config.clusters.index(cluster), "mode")),
                )

    def unreachable(self) -> Iterator[Flaw]:
        """Clusters that no listener has, or to which no name leads."""
        behind = [frozenset(one.name for one in self.config.reached_at(listener)) for listener in self.config.listeners]
        defaults = {listener.default_cluster for listener in self.config.listeners}
        reached = frozenset().union(*behind)
        meant = self._misspelt() if any(cluster.name not in reached for cluster in self.config.clusters) else frozenset()
        for number, cluster in enumerate(self.config.clusters):
            loc: Loc = ("clusters", number)
            if cluster.name not in reached:
                hint = "add it to the clusters of a listener"
                if cluster.name not in meant:
                    yield Flaw(loc, "unreachable", "is behind no listener", hint, rests_on=((*loc, "name"),))
            elif cluster.name not in defaults and not any(names == {cluster.name} for names in behind):
                about = [("listeners", n) for n, names in enumerate(behind) if cluster.name in names]
                yield from _unnamed(cluster, loc, about)

    def unseen_clients(self) -> Iterator[Flaw]:
        """Listeners that ask for client certificates and pass TLS on, where the gate sees none."""
        for number, listener in enumerate(self.config.listeners):
            if listener.client_certificates is None:
                continue
            loc: Loc = ("listeners", number, "clientCertificates")
            for cluster in self.config.reached_at(listener):
                if cluster.mode is Mode.PASSTHROUGH:
                    mode: Loc = ("clusters", self.config.clusters.index(cluster), "mode")
                    yield Flaw(
                        loc,
                        "client-certificates",
                        f"cannot be verified for {cluster.name}: its TLS is passed through, so the gate sees none",
                        f"give {cluster.name} a listener of its own, or mode: terminate",
                        rests_on=(loc, ("listeners", number, "clusters"), mode),
                    )

    def _misspelt(self) -> frozenset[str | None]:
        """The clusters that misspelt names in listeners mean: what is told is the name, not that nobody has the cluster."""
        names = [cluster.name for cluster in self.config.clusters]
        wrong = {name for listener in self.config.listeners for name in listener.clusters} - set(names)
        return frozenset(closest(name, names) for name in wrong)


def _unnamed(cluster: ClusterConfig, loc: Loc, listeners: Sequence[Loc]) -> Iterator[Flaw]:
    """The flaw that no name leads to a cluster that shares its listeners with others."""
    hosts: Loc = (*loc, "hosts")
    choices = [(*one, key) for one in listeners for key in ("clusters", "defaultCluster")]
    rests_on = (hosts, (*loc, "mode"), (*loc, "name"), *choices)
    if not cluster.hosts:
        hint = "write the names by which clients reach it"
        if cluster.mode is Mode.TERMINATE:
            hint += ", or make it the defaultCluster of a listener"
        message = "are missing, and other clusters stand behind the same listener: nobody would be led here"
        yield Flaw(hosts, "unreachable", message, hint, rests_on=rests_on)
    elif cluster.mode is Mode.PASSTHROUGH and all(is_address(host) for host in cluster.hosts):
        message = "are addresses, which TLS never asks for by name, and the Host is not read where TLS is not opened"
        hint = "add a DNS name, which clients of an address give as tls-server-name"
        yield Flaw(hosts, "unreachable", message, hint, rests_on=rests_on)
