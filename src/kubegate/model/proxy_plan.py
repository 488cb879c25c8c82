"""What `kubegate proxy` runs, resolved: where it listens, which contexts it leads to, and what it lets through. Pure."""

from dataclasses import dataclass, field

from kubegate.model.address import Endpoint
from kubegate.model.filters import DEFAULT_ACCEPT_HOSTS, Filters
from kubegate.model.plan import Verification

_PORTS = {"http": 80, "https": 443}
# Where the one-time URL of the proxy itself leads; no API server has such a path.
LOGIN_PATH = "/.kubegate/login"
# Below this are the proxy's own pages.
OWN_PATH = "/.kubegate/"
CLUSTERS_PATH = "/clusters/"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where clients come in. `descriptor` is the number of the listening socket, which HAProxy inherits.

    `hosts` are the names and addresses (IPv6 in brackets) by which browsers reach it, none for a unix socket. `target` is the key
    of the context that requests go to; with `several`, `/clusters/NAME/` leads to the others. `pem` is certificate and key where
    TLS is spoken, and HTTP/2 beside HTTP/1.1 then. `token` says that only those who show the proxy's token may come, in a cookie
    that is named by `cookie_port`, as cookies know no ports.

    One that has a `service`, the path of a Service's proxy, leads to nothing else. HAProxy opens it itself, at `address`.
    """

    name: str
    descriptor: int
    target: str
    hosts: tuple[str, ...] = ()
    port: int = 0
    several: bool = False
    pem: bytes = field(default=b"", repr=False)
    token: bool = False
    service: str = ""
    address: str = ""
    cookie_port: int = 0

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.pem else "http"

    @property
    def origins(self) -> tuple[str, ...]:
        """What browsers call the origin of pages from here (RFC 6454): scheme, host, and port unless it is the scheme's own."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return tuple(f"{self.scheme}://{host}{port}" for host in self.hosts)


@dataclass(frozen=True, slots=True)
class Target:
    """A context that requests are sent to; `key` is a short word that stands for it in HAProxy.

    `host` is what its API server is called in `Host`, `servers` are the addresses at which it is known to be who it is: none as
    long as nobody knows. `relay` is the unix socket that is dialled in their place, if any. `verification` is None without TLS,
    or where the kubeconfig switches it off. `path` is that of the server's URL, `/without/end` or empty, and goes before each
    request's path if `append` is set. `authorization` is the header's value, `pair` certificate and key of the client in PEM.
    `gone` is why there is no credential, empty if all is well.
    """

    key: str
    name: str
    host: str
    tls: bool
    servers: tuple[Endpoint, ...] = ()
    relay: str = ""
    verification: Verification | None = None
    path: str = ""
    append: bool = True
    aliases: tuple[str, ...] = ()
    impersonation: tuple[tuple[str, str], ...] = ()
    authorization: str = field(default="", repr=False)
    pair: bytes = field(default=b"", repr=False)
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Static:
    """A folder of files that is served: below which prefix (`/static/`), and the unix socket of who serves it."""

    prefix: str
    socket: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may ask, and with what. `origins` are allowed beside a listener's own.

    `token_digest` is the SHA-256 of the proxy's token in upper-case hex, empty where there is none. `authorization` and
    `impersonation` say that clients may bring their own.
    """

    origins: tuple[str, ...] = ()
    token_digest: str = ""
    authorization: bool = False
    impersonation: bool = False


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """The whole local proxy.

    `prefix` begins and ends with a slash: only what is below it is served, and it is taken off unless it begins with `/api`.
    `keepalive` are the seconds of silence after which a connection to an API server is probed, 0 for the usual ones, negative for
    never. `ask_socket` is where Python answers what HAProxy cannot, `site_socket` that of the proxy's own pages, if it has some;
    with `page` the explorer is one of them.
    """

    listeners: tuple[Listener, ...]
    targets: tuple[Target, ...]
    filters: Filters
    ask_socket: str
    prefix: str = "/"
    admission: Admission = Admission()
    static: Static | None = None
    site_socket: str = ""
    page: bool = False
    log: bool = False
    keepalive: float = 0.0
    max_connections: int = 2000

    @property
    def strips(self) -> bool:
        """Whether the prefix is taken off: kubectl leaves one that begins with `/api` where it is."""
        return self.prefix != "/" and not self.prefix.startswith("/api")

    def target(self, key: str) -> Target:
        """The target of this key. Raises KeyError."""
        for one in self.targets:
            if one.key == key:
                return one
        raise KeyError(key)


def usual_hosts(filters: Filters) -> bool:
    """Whether the patterns of hosts are those of nobody in particular."""
    return ",".join(one.text for one in filters.accept_hosts) == DEFAULT_ACCEPT_HOSTS


def takes_any_name(filters: Filters) -> bool:
    """Whether hosts pass that nobody has written out."""
    sequences = [one.sequence for one in filters.accept_hosts]
    return filters.disabled or not all(one and one.begins and one.ends and len(one.parts) == 1 for one in sequences)
