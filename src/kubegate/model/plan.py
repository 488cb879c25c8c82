"""Plan: what a declaration means, resolved and checked. Equal plans give equal bytes."""

from dataclasses import dataclass, field

from kubegate.model.address import Endpoint
from kubegate.model.problem import Problem

_SECOND, _MINUTE, _DAY = 1000, 60_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Verification:
    """How HAProxy verifies an API server on every connection: by this CA bundle and by this DNS name.

    `send_sni` says whether the name is also sent as SNI: only where clients of the declared server would send it.
    """

    ca_pem: bytes = field(repr=False)
    name: str
    send_sni: bool


@dataclass(frozen=True, slots=True)
class Health:
    """Health checks: milliseconds between two of one server, and how many in a row take it in or out."""

    interval: int = 3 * _SECOND
    rise: int = 2
    fall: int = 2


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Milliseconds: for a connection, for the answer to a request, for the silence of a stream."""

    connect: int = 10 * _SECOND
    request: int = 5 * _MINUTE
    stream: int = 7 * _DAY


@dataclass(frozen=True, slots=True)
class Backend:
    """One cluster's API servers, balanced, with health checks; or a place that waits for a cluster (`cluster` None).

    `verification` is None only where it was switched off, or where there is no server. `opened` says that the gate opens TLS and
    sees HTTP. `allow` are the source ranges that may come here, None for everybody; the limits are None where there is none.
    """

    name: str
    servers: tuple[Endpoint, ...]
    tls: bool
    verification: Verification | None
    opened: bool = True
    cluster: str | None = None
    balance: str = "leastconn"
    health: Health = Health()
    timeouts: Timeouts = Timeouts()
    allow: tuple[str, ...] | None = None
    max_carried: int | None = None
    requests_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate (key and chain in one PEM) that a listener shows for these host names; `name` is that of its cluster."""

    name: str
    pem: bytes = field(repr=False)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A host name, as SNI and `Host` give it in normal form, and the backend that it leads to."""

    host: str
    backend: str
    opened: bool = True


@dataclass(frozen=True, slots=True)
class Clients:
    """Client certificates of a listener: by which CAs (PEM) they are verified, which are revoked, whether one is required.

    `revoked` are SHA-256 fingerprints in hexadecimal capitals, sorted; after a `+` that of the same certificate in another form.
    """

    ca_pem: bytes = field(repr=False)
    revoked: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True, slots=True)
class Frontend:
    """One listener.

    A `sole` one leads everybody to `default`, whatever name they ask for. Another one leads by `routes`, and those that give no
    name to `default`, if there is one; `elsewhere` are names of clusters that only other listeners lead to. The first of
    `certificates` is shown to those who ask for no name that is known; there is none where TLS is only passed through.
    `proxy_from` are the ranges that must speak the PROXY protocol, None if nobody may. `clients` None asks for no certificates.
    """

    name: str
    listen: Endpoint
    default: str | None
    certificates: tuple[Shown, ...] = ()
    routes: tuple[Route, ...] = ()
    elsewhere: tuple[str, ...] = ()
    sole: bool = False
    proxy_from: tuple[str, ...] | None = None
    clients: Clients | None = None

    @property
    def opens(self) -> bool:
        """Whether TLS is opened here for some cluster."""
        return bool(self.certificates)

    @property
    def passes(self) -> bool:
        """Whether TLS is passed through here for some cluster: then names are read before it is opened, at the cost of a hop."""
        return any(not route.opened for route in self.routes) or not self.certificates

    @property
    def hops(self) -> bool:
        """Whether what is opened here takes a hop inside HAProxy, on a connection more."""
        return self.opens and self.passes


@dataclass(frozen=True, slots=True)
class Process:
    """The HAProxy process: client connections at one time, threads; whether it logs each request; where its metrics are read.

    `max_connections` is 0 where the limit on open files of another machine decides.
    """

    max_connections: int
    threads: int = 1
    access_log: bool = False
    metrics: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole gate; `warnings` is what is not secure about it.

    `stretch` says by how much the declared intervals of health checks are multiplied, as there are many servers.
    """

    frontends: tuple[Frontend, ...]
    backends: tuple[Backend, ...]
    process: Process
    warnings: tuple[Problem, ...] = ()
    stretch: int = 1

    def backend(self, name: str) -> Backend:
        """The backend of this name. Raises KeyError."""
        for one in self.backends:
            if one.name == name:
                return one
        raise KeyError(name)
