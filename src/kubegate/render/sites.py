"""Declared clusters beside what was found out about them, as targets need both; and what no target in a cluster can express."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig, ListenerConfig, Mode
from kubegate.model.gatefile import Declaration
from kubegate.model.places import Loc
from kubegate.model.plan import Plan, Verification
from kubegate.model.problem import Problem
from kubegate.pki.pem import blocks
from kubegate.render.in_cluster import ClusterOptions

OWN_CERTIFICATE = (
    "it has no certificate, and one that is made by itself would be another one each time",
    "make one by `kubegate certs`, or have one issued, and declare certificate.cert and certificate.key",
)


# Of a Service (RFC 1035 label).
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Site:
    """One cluster: what was declared of it, where, its API servers, how they are verified, and the certificate to show (PEM)."""

    cluster: ClusterConfig
    loc: Loc
    servers: tuple[Endpoint, ...]
    tls: bool
    verification: Verification | None
    pem: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def opened(self) -> bool:
        """Whether TLS is opened for it."""
        return self.cluster.mode is Mode.TERMINATE


def sites(plan: Plan, declared: Declaration) -> tuple[Site, ...]:
    """The declared clusters in their order."""
    pems = {shown.name: shown.pem for front in plan.frontends for shown in front.certificates}
    at = {backend.cluster: backend for backend in plan.backends if backend.cluster}
    found = []
    for number, cluster in enumerate(declared.config.clusters):
        backend = at[cluster.name]
        pem = pems.get(cluster.name, b"")
        verification = backend.verification and _shown(backend.verification)
        found.append(Site(cluster, ("clusters", number), backend.servers, backend.tls, verification, pem))
    return tuple(found)


def _shown(verification: Verification) -> Verification:
    """The same with the CA certificates alone: what stands between them may be in any encoding, and objects are UTF-8."""
    found = [one.text for one in blocks(verification.ca_pem) if not one.is_key]
    return replace(verification, ca_pem=b"".join(found))


def upstream_problems(site: Site, options: ClusterOptions) -> Iterator[Problem]:
    """Why a cluster's API servers cannot be named in objects of Kubernetes."""
    at = options.declared.places.at
    where = at(*site.loc, "upstream")
    if len(f"{options.name}-{site.name}") > _LONGEST_NAME:
        message = f"{options.name}-{site.name} is longer than the names of Services can be ({_LONGEST_NAME} letters)"
        yield Problem(at(*site.loc, "name"), "target.value", message, "give the cluster a shorter name")
    if not site.servers:
        message = "no API server answers and proves what it is at this moment, so there is none to lead to"
        yield Problem(where, "target.upstream", message, "see `kubegate check`")
    elif not site.tls:
        yield Problem(where, "target.upstream", "it is reached without TLS", "name its HTTPS address")
    for server in site.servers:
        address = ipaddress.ip_address(server.host)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if mapped is not None:
            message = f"{server} is an IPv4 address in the form of IPv6, which EndpointSlices cannot hold"
            yield Problem(where, "target.upstream", message, f"write {Endpoint(str(mapped), server.port)}")
        elif address.is_multicast:
            yield Problem(where, "target.upstream", f"{server} is no address of one server", "name that of an API server")
        elif address.is_loopback or address.is_link_local or address.is_unspecified:
            message = f"{server} is an address that means this machine, and another one wherever else it is used"
            yield Problem(where, "target.upstream", message, "name an address that the cluster's nodes reach")


def name_problems(site: Site, declared: Declaration) -> Iterator[Problem]:
    """Why clients cannot be led to a cluster by name."""
    at = declared.places.at
    if not site.cluster.hosts:
        message = "it has no hosts, and clients are led by none but their names there"
        yield Problem(at(*site.loc, "hosts"), "target.key", message, "declare the names by which clients reach it")
    for number, host in enumerate(site.cluster.hosts):
        if is_address(host):
            message = f"{host} is an address, and clients are led by none but DNS names there"
            hint = "leave it out; clients of the address set tls-server-name in their kubeconfig"
            yield Problem(at(*site.loc, "hosts", number), "target.key", message, hint)


def certificate_problems(site: Site, declared: Declaration) -> Iterator[Problem]:
    """Why there is no certificate to hand over."""
    if site.opened and site.cluster.certificate is None:
        message, hint = OWN_CERTIFICATE
        yield Problem(declared.places.at(*site.loc, "certificate"), "target.key", message, hint)


def listener_problems(
    declared: Declaration, port: int | None = None, *, any_address: bool = False, sole: str = ""
) -> Iterator[Problem]:
    """Why listeners cannot be as declared: where every address of a Service or controller is meant, it must be typed.

    `port` is the only one there can be, None for any; `any_address` says that addresses can be asked for. `sole` is the name of
    a controller that has one listener.
    """
    for number, listener in enumerate(declared.config.listeners):
        if sole and number:
            message = f"{sole} has one listener for HTTPS"
            hint = "render each listener from a file of its own"
            yield Problem(declared.places.at("listeners", number), "target.key", message, hint)
        else:
            where = declared.places.at("listeners", number, "address")
            yield from _address_problems(listener, where, port, any_address=any_address)


def _address_problems(listener: ListenerConfig, where: str, port: int | None, *, any_address: bool) -> Iterator[Problem]:
    wanted, number = listener.address, port or listener.address.port
    if wanted.is_loopback or not (wanted.is_wildcard or any_address):
        message = f"{wanted} is an address of one machine, and what is rendered can be reached at every address of the target"
        hint = f"type 0.0.0.0:{number} or [::]:{number}, and see that `allow` says who may come"
        yield Problem(where, "target.value", message, hint)
    elif port is not None and wanted.port != port:
        message = f"the port {wanted.port} cannot be chosen: the controller listens on its own, {port} for HTTPS"
        yield Problem(
            where, "target.value", message, f"write {wanted.url_host}:{port}, and map another port before it if need be"
        )
    elif wanted.port == 0:
        yield Problem(where, "target.value", "port 0 is no port for clients", "write a port")


def resolved_note(declared: Declaration) -> list[str]:
    """What to know where API servers were declared by name."""
    names = [str(one) for cluster in declared.config.clusters for one in cluster.upstream.servers if not is_address(one.host)]
    if not names:
        return []
    return [f"{', '.join(names)}: the addresses are those of this moment; render anew when they change"]


def verification_notes(site: Site) -> list[str]:
    """Who verifies the API servers, where it is not the one who opens TLS; the choice that nobody does is a warning."""
    if not site.opened:
        return [passed_note(site)]
    if not site.cluster.upstream.insecure:
        return []
    return [f"WARNING: cluster {site.name}: nobody verifies its API servers: whoever answers there gets the callers' tokens"]


def passed_note(site: Site) -> str:
    """Of a cluster whose TLS is not opened."""
    return f"cluster {site.name}: TLS is passed through, so its clients verify the API servers, and nobody before them does"
