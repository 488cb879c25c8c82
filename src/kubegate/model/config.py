"""Config: what was declared, in a file or by flags. Frozen pydantic models; unknown keys are refused.

In a file the keys are in camelCase. What can be said about one value alone is checked here; what needs several of them, in
`checks`; whether files and servers are what they should be, by those who read them.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kubegate.model.address import Endpoint
from kubegate.model.values import Dial, Duration, FileName, Flag, Host, Listen, Name, Network, Whole

API_VERSION: Literal["kubegate.dev/v1alpha1"] = "kubegate.dev/v1alpha1"
KIND: Literal["Gate"] = "Gate"


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Mode(StrEnum):
    """Whether the gate opens TLS (and guards HTTP) or passes it through untouched."""

    TERMINATE = "terminate"
    PASSTHROUGH = "passthrough"


class Verify(StrEnum):
    """Whether an API server must prove who it is."""

    REQUIRED = "required"
    NONE = "none"


class Balance(StrEnum):
    """How requests are spread over the API servers of a cluster (HAProxy configuration manual, `balance`)."""

    LEASTCONN = "leastconn"
    ROUNDROBIN = "roundrobin"
    RANDOM = "random"


class FrontFiles(_Declared):
    """The certificate that the gate shows, given by the operator; without one the gate makes its own for the declared hosts."""

    cert: FileName = Field(description="Certificate in PEM form, the server's own first; what follows is sent along.")
    key: FileName = Field(description="Its private key in PEM form, without a passphrase.")
    chain: FileName | None = Field(
        default=None, description="Issuers (PEM) that are sent along, where they do not stand in `cert`."
    )
    ca: FileName | None = Field(
        default=None,
        description="CA (PEM) that goes into client kubeconfigs. Default: the one in the chain, else the system's counts.",
    )


class UpstreamConfig(_Declared):
    """The API servers of a cluster: those of a kubeconfig, those that are listed, or those that the cluster itself names."""

    kubeconfig: FileName | None = Field(
        default=None,
        description="Kubeconfig that names the API server and its CA. Default: the one that kubectl would find, if there is "
        "`context` or `discover`.",
    )
    context: str | None = Field(default=None, description="Context of that kubeconfig. Default: its current one.")
    servers: tuple[Dial, ...] = Field(
        default=(),
        description="API servers as HOST:PORT (6443 if no port is given), instead of a kubeconfig. Names are followed in DNS.",
    )
    ca: FileName | None = Field(
        default=None, description="CA bundle (PEM) that verifies the listed servers. Default: the system's."
    )
    server_name: Host | None = Field(
        default=None,
        description="Name that the certificates of the listed servers must have, and that is sent as SNI. Default: the DNS name "
        "of the servers; for addresses, a name of the certificate that only an API server can have.",
    )
    discover: Flag = Field(
        default=False,
        description="Follow the EndpointSlices of the Service `kubernetes`, read as the user of the kubeconfig, as control-plane "
        "members come and go.",
    )
    verification: Verify = Field(
        default=Verify.REQUIRED,
        description="`none` gives the callers' tokens to whoever answers; it warns at each start and in the status.",
    )

    @property
    def insecure(self) -> bool:
        """Whether verification was switched off."""
        return self.verification is Verify.NONE


class HealthConfig(_Declared):
    """Health checks: `GET /readyz` over verified TLS; 200, 401 and 403 count as alive."""

    interval: Duration = Field(
        default=timedelta(seconds=3), description="Time between two checks of a server; stretched where there are many servers."
    )
    rise: Whole = Field(default=2, ge=1, le=100, description="Checks in a row that bring a server back.")
    fall: Whole = Field(default=2, ge=1, le=100, description="Checks in a row that take a server out.")


class TimeoutsConfig(_Declared):
    """How long the gate waits. Streams are upgrades (exec, port-forward), watches, followed logs, and all below `*/proxy`."""

    connect: Duration = Field(default=timedelta(seconds=10), description="How long to wait for a connection to an API server.")
    request: Duration = Field(
        default=timedelta(minutes=5), description="How long to wait for the answer to a request that is no stream."
    )
    stream: Duration = Field(default=timedelta(days=7), description="How long a stream may be silent.")


class LimitsConfig(_Declared):
    """Limits of one cluster. Default: none."""

    connections: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests and streams (connections, if passed through) at one time; more get 429.",
    )
    requests_per_second: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests of one source address in a second, measured over ten; more get 429. "
        "Not for `passthrough`, where none is seen.",
    )


class ClusterConfig(_Declared):
    """One cluster behind the gate."""

    name: Name = Field(default="cluster", description="Its name in status, logs and metrics.")
    hosts: tuple[Host, ...] = Field(
        default=(),
        description="Names by which clients reach it: TLS names (SNI), or, for clients of an address, the Host of the URL. "
        "The first stands in client kubeconfigs. Default: it is reached by the listener's address.",
    )
    mode: Mode = Field(
        default=Mode.TERMINATE,
        description="`passthrough` leaves TLS unopened, so that client certificates work, and nothing above TCP is guarded.",
    )
    certificate: FrontFiles | None = Field(
        default=None, description="Certificate to show. Default: a self-signed one for the hosts and the listeners' addresses."
    )
    upstream: UpstreamConfig = Field(
        default=UpstreamConfig(), description="Where its API servers are, and how they are verified."
    )
    balance: Balance = Field(default=Balance.LEASTCONN, description="How requests are spread over its API servers.")
    health: HealthConfig = HealthConfig()
    allow: tuple[Network, ...] = Field(default=(), description="Source ranges that may reach it. Default: everybody.")
    timeouts: TimeoutsConfig = TimeoutsConfig()
    limits: LimitsConfig = LimitsConfig()


class ProxyProtocolConfig(_Declared):
    """PROXY protocol, versions 1 and 2, by which load balancers tell who their clients are. Default: it is refused."""

    senders: tuple[Network, ...] = Field(
        min_length=1,
        validation_alias="from",
        serialization_alias="from",
        description="Address ranges of the load balancers that send it, on each connection; from anybody else it is refused.",
    )


class Demand(StrEnum):
    """Whether clients of a listener must show a certificate."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class ClientCertificatesConfig(_Declared):
    """Client certificates that the gate itself verifies; the API server learns nothing of them. Default: none is asked for."""

    ca: FileName = Field(description="Root CA (PEM) that issues them; several stand one after another.")
    revoked: FileName | None = Field(
        default=None,
        description="List of those that are revoked, as `kubegate certs revoke` writes it; followed, and taken without a reload. "
        "Default: none is.",
    )
    mode: Demand = Field(
        default=Demand.REQUIRED,
        description="`optional` lets clients in that show none; one that is shown must be good all the same.",
    )


class ListenerConfig(_Declared):
    """One address on which the gate listens for clients."""

    name: Name = Field(default="gate", description="Its name in status, logs and metrics.")
    address: Listen = Field(
        default=Endpoint("127.0.0.1", 6443),
        description="Where it listens. Every interface is 0.0.0.0, or [::] with IPv6, and must be typed.",
    )
    clusters: tuple[Name, ...] = Field(default=(), description="Names of the clusters that are reached here. Default: all.")
    default_cluster: Name | None = Field(
        default=None,
        description="Cluster of clients that give no name, as kubectl for a URL with an address: no SNI, and a Host "
        "that is no cluster's. Default: none, they get 421.",
    )
    proxy_protocol: ProxyProtocolConfig | None = None
    client_certificates: ClientCertificatesConfig | None = None


class MetricsConfig(_Declared):
    """Prometheus metrics: HAProxy's own at `/metrics`, the control plane's at `/metrics/kubegate`. Default: none."""

    address: Listen = Field(description="Where they are served. Whoever reaches it reads them.")


class DataPlaneConfig(_Declared):
    """The HAProxy process, and its reloads."""

    haproxy: FileName | None = Field(
        default=None, description="HAProxy to run. Default: the embedded one, or a newer one of this machine."
    )
    threads: Whole = Field(default=1, ge=1, le=64, description="Threads. One costs least for each request; more carry more.")
    max_connections: Whole | None = Field(
        default=None,
        ge=50,
        le=1_000_000,
        description="Client connections at one time. Default: what the limit on open files allows.",
    )
    max_old_workers: Whole = Field(
        default=8, ge=1, le=100, description="Workers of earlier configurations that may live on with their streams."
    )
    old_worker_wait: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a reload waits at that bound before the oldest worker's streams are ended.",
    )
    spare_clusters: Whole = Field(default=4, ge=0, le=1000, description="Places for new clusters that need no reload.")
    drain: Duration = Field(default=timedelta(seconds=30), description="Time that open streams have when the gate is stopped.")


class Config(_Declared):
    """A gate: where it listens, and which clusters stand behind it."""

    api_version: Literal["kubegate.dev/v1alpha1"] = Field(default=API_VERSION, description="Version of this format.")
    kind: Literal["Gate"] = Field(default=KIND, description="What is declared.")
    listeners: tuple[ListenerConfig, ...] = Field(
        default=(ListenerConfig(),),
        min_length=1,
        description="Where the gate listens. Default: 127.0.0.1:6443, for all clusters.",
    )
    clusters: tuple[ClusterConfig, ...] = Field(min_length=1, description="What stands behind the gate: one cluster or many.")
    metrics: MetricsConfig | None = None
    data_plane: DataPlaneConfig = DataPlaneConfig()
    access_log: FileName | None = Field(
        default=None,
        description="File that gets one JSON line for each request, from the next start of HAProxy on; HAProxy's own words on a "
        "reload are plain text between them. Default: none.",
    )

    def cluster(self, name: str) -> ClusterConfig | None:
        """The cluster of this name."""
        return next((cluster for cluster in self.clusters if cluster.name == name), None)

    def reached_at(self, listener: ListenerConfig) -> tuple[ClusterConfig, ...]:
        """The clusters behind a listener."""
        wanted = frozenset(listener.clusters)
        return tuple(one for one in self.clusters if not wanted or one.name in wanted)
