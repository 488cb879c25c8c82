"""Plan: what a declaration means, resolved and checked. Equal plans give equal bytes."""

from dataclasses import dataclass, field

from kubegate.model.address import Endpoint
from kubegate.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Verification:
    """How HAProxy verifies an API server on every connection: by this CA bundle and by this DNS name.

    `send_sni` says whether the name is also sent as SNI: only where clients of the declared server would send it.
    """

    ca_pem: bytes
    name: str
    send_sni: bool


@dataclass(frozen=True, slots=True)
class Backend:
    """One cluster's API servers, balanced, with health checks. `verification` is None only where it was switched off."""

    name: str
    servers: tuple[Endpoint, ...]
    tls: bool
    verification: Verification | None


@dataclass(frozen=True, slots=True)
class Frontend:
    """One listener. `certificate_pem` (key and chain) is None where TLS is passed through unopened."""

    name: str
    listen: Endpoint
    backend: Backend
    certificate_pem: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole gate; `warnings` is what is not secure about it."""

    frontends: tuple[Frontend, ...]
    max_connections: int
    warnings: tuple[Problem, ...] = ()
