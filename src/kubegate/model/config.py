"""Config: what was declared, in a file or by flags. Frozen pydantic models; unknown keys are refused.

In a file the keys are in camelCase. What can be said about one value alone is checked here; what needs several of them, in
`checks`; whether files and servers are what they should be, by those who read them.
"""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kubegate.model.address import Endpoint
from kubegate.model.values import Dial, Duration, FileName, Host, Listen, Name, Network

API_VERSION: Final = "kubegate.dev/v1alpha1"
KIND: Final = "Gate"


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
    chain: FileName | None = Field(None, description="Issuers that are sent along, where they do not stand in `cert`.")
    ca: FileName | None = Field(
        None, description="CA that goes into client kubeconfigs; without it the one in the chain, or the system's, counts."
    )


class UpstreamConfig(_Declared):
    """The API servers of a cluster: those of a kubeconfig, those that are listed, or those that the cluster itself names."""

    kubeconfig: FileName | None = Field(None, description="Kubeconfig that names the API server and its CA.")
    context: str | None = Field(None, description="Context of that kubeconfig. Default: its current one.")
    servers: tuple[Dial, ...] = Field((), description="API servers as HOST:PORT, instead of a kubeconfig.")
    ca: FileName | None = Field(None, description="CA bundle (PEM) that verifies the listed servers.")
    server_name: Host | None = Field(None, description="Name that their certificates must have, and that is sent as SNI.")
    discover: bool = Field(
        False,
        description="Follow the EndpointSlices of the Service `kubernetes`, read as the user of the kubeconfig, as control-plane "
        "members come and go.",
    )
    verification: Verify = Field(
        Verify.REQUIRED, description="`none` accepts whoever answers, tokens and all; it warns at each start and in the status."
    )

    @property
    def insecure(self) -> bool:
        """Whether verification was switched off."""
        return self.verification is Verify.NONE


class HealthConfig(_Declared):
    """Health checks: `GET /readyz` over verified TLS; 200, 401 and 403 count as alive."""

    interval: Duration = Field(
        timedelta(seconds=3), description="Time between two checks of a server; stretched if there are many servers."
    )
    rise: int = Field(2, ge=1, le=100, description="Checks in a row that bring a server back.")
    fall: int = Field(2, ge=1, le=100, description="Checks in a row that take a server out.")


class TimeoutsConfig(_Declared):
    """How long the gate waits. Streams are upgrades, watches, followed logs, and everything below `*/proxy`."""

    connect: Duration = Field(timedelta(seconds=10), description="For a connection to an API server.")
    request: Duration = Field(timedelta(minutes=5), description="For the answer to a request that is no stream.")
    stream: Duration = Field(timedelta(days=7), description="For the silence of a stream.")


class LimitsConfig(_Declared):
    """Limits of one cluster; none by default."""

    connections: int | None = Field(
        None, ge=1, le=1_000_000, description="Requests and streams that are carried at one time; more get 429."
    )
    requests_per_second: int | None = Field(
        None, ge=1, le=1_000_000, description="Requests of one source address in a second, measured over ten; more get 429."
    )


class ClusterConfig(_Declared):
    """One cluster behind the gate."""

    name: Name = Field("cluster", description="Its name in status, logs and metrics.")
    hosts: tuple[Host, ...] = Field((), description="DNS names by which clients reach it: they are its SNI.")
    mode: Mode = Field(Mode.TERMINATE, description="`passthrough` leaves TLS unopened, so that client certificates work.")
    certificate: FrontFiles | None = Field(None, description="Certificate to show. Default: a self-signed one for the hosts.")
    upstream: UpstreamConfig = Field(UpstreamConfig(), description="Where its API servers are.")
    balance: Balance = Field(Balance.LEASTCONN, description="How requests are spread over its API servers.")
    health: HealthConfig = HealthConfig()
    allow: tuple[Network, ...] = Field((), description="Source ranges that may reach it. Default: everybody.")
    timeouts: TimeoutsConfig = TimeoutsConfig()
    limits: LimitsConfig = LimitsConfig()


class ProxyProtocolConfig(_Declared):
    """PROXY protocol, versions 1 and 2, on a listener."""

    senders: tuple[Network, ...] = Field(
        min_length=1, alias="from", description="Ranges of the load balancers that send it; from anybody else it is refused."
    )


class ListenerConfig(_Declared):
    """One address on which the gate listens for clients."""

    name: Name = Field("gate", description="Its name in status, logs and metrics.")
    address: Listen = Field(Endpoint("127.0.0.1", 6443), description="ADDR:PORT; every interface is 0.0.0.0 or [::], typed.")
    clusters: tuple[Name, ...] = Field((), description="Clusters that are reached here. Default: all.")
    default_cluster: Name | None = Field(
        None, description="Cluster of clients that send no SNI and whose Host names none, as kubectl does for an address."
    )
    proxy_protocol: ProxyProtocolConfig | None = None


class MetricsConfig(_Declared):
    """Prometheus metrics: HAProxy's own at `/metrics`, the control plane's at `/metrics/kubegate`."""

    address: Listen = Field(description="ADDR:PORT. Whoever reaches it reads the metrics, so it is typed.")


class DataPlaneConfig(_Declared):
    """The HAProxy process."""

    haproxy: FileName | None = Field(None, description="HAProxy to run. Default: the embedded one, or a newer one of the system.")
    threads: int = Field(1, ge=1, le=64, description="Threads. One costs least for each request; more carry more.")
    max_connections: int | None = Field(
        None, ge=50, le=1_000_000, description="Client connections. Default: what the limit on files allows."
    )
    max_old_workers: int = Field(
        8, ge=1, le=100, description="Workers of earlier configurations that may live on with their streams."
    )
    old_worker_wait: Duration = Field(
        timedelta(seconds=30), description="How long a reload waits at that bound before the oldest worker's streams are ended."
    )
    spare_clusters: int = Field(4, ge=0, le=1000, description="Places for new clusters that need no reload.")
    drain: Duration = Field(timedelta(seconds=30), description="Time that open streams have when the gate is stopped.")


class Config(_Declared):
    """A gate: where it listens, and which clusters stand behind it."""

    api_version: Literal["kubegate.dev/v1alpha1"] = API_VERSION
    kind: Literal["Gate"] = KIND
    name: Name = Field("gate", description="Name of this gate on its machine; two gates have two.")
    listeners: tuple[ListenerConfig, ...] = Field((ListenerConfig(),), min_length=1)
    clusters: tuple[ClusterConfig, ...] = Field(min_length=1)
    metrics: MetricsConfig | None = None
    data_plane: DataPlaneConfig = DataPlaneConfig()
    access_log: FileName | None = Field(None, description="File that gets one JSON line for each request. Default: none.")

    def cluster(self, name: str) -> ClusterConfig | None:
        """The cluster of this name."""
        return next((cluster for cluster in self.clusters if cluster.name == name), None)

    def reached_at(self, listener: ListenerConfig) -> tuple[ClusterConfig, ...]:
        """The clusters behind a listener."""
        return tuple(one for one in self.clusters if not listener.clusters or one.name in listener.clusters)

    @property
    def folder(self) -> Path:
        """The name of this gate's folders."""
        return Path(self.name)
