"""Facts: what was found out about the world that a declaration alone cannot say. Gathered by the runtime, pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kubegate.model.problem import Problem


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What an API server showed in a handshake that was verified by CA and by the name or address asked for."""

    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ServerFact:
    """One address of the API server; `certificate` is None if it did not answer or is not verified.

    `trouble` says why, `remedy` what to do about it; both are empty where it was not looked at, or where nobody was to verify it
    and it answered. `mistrusted` says that it answered and did not prove what it is.
    """

    address: str
    port: int
    certificate: PeerCertificate | None = None
    trouble: str = ""
    remedy: str = ""
    mistrusted: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """The API server as the kubeconfig declares it and as it answered.

    `where` is the place in the kubeconfig that declares it, `name` the name or address that clients verify
    (`tls-server-name`, else the server's host). `ca_pem` is the CA bundle that verifies it, None without TLS or with
    verification switched off.
    """

    context: str
    where: str
    url: str
    tls: bool
    name: str
    ca_pem: bytes | None
    servers: tuple[ServerFact, ...]


@dataclass(frozen=True, slots=True)
class FrontCertificate:
    """The certificate that the gate shows: key and chain as one PEM for HAProxy, and what clients need to trust it.

    `client_ca_pem` goes into client kubeconfigs; None means that the system's CAs verify it.
    """

    pem: bytes = field(repr=False)
    names: tuple[str, ...]
    sha256: str
    not_after: datetime
    self_signed: bool
    client_ca_pem: bytes | None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What was found out about one cluster: its API servers, and the certificate that the gate shows for it.

    `front` is None where TLS is passed through. `problems` say what is wrong with it at this moment.
    """

    upstream: UpstreamFacts
    front: FrontCertificate | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """By what the clients of a listener are verified: CAs (PEM), and the fingerprints of revoked certificates, sorted.

    A fingerprint is the SHA-256 of the DER form in hexadecimal capitals; that of its other form may follow after a `+`.
    """

    ca_pem: bytes = field(repr=False)
    revoked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the planner needs besides the declaration, by the names of clusters, and of listeners for `clients`."""

    clusters: Mapping[str, ClusterFacts]
    max_connections: int
    clients: Mapping[str, ClientFacts] = field(default_factory=dict)
