"""What `kubegate proxy` was asked to do, flags read and checked by themselves."""

from dataclasses import dataclass, field
from pathlib import Path

from kubegate.cluster.overrides import NO_OVERRIDES, Overrides
from kubegate.model.filters import Filters, default_filters


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: a unix socket, or an address (empty: all of the machine) and a port (0: a free one)."""

    address: str = "127.0.0.1"
    port: int = 8001
    socket: Path | None = None
    flag: str = "--port"


@dataclass(frozen=True, slots=True)
class Named:
    """A context that is served beside the first, by an alias if it has one, at a place of its own if it has one."""

    name: str
    alias: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards clients: with this certificate and key, or, where none is given, one of the proxy's own."""

    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that flags say. `prefix` and `www_prefix` begin and end with a slash; `log` `-` is standard error."""

    kubeconfig: Path | None = None
    context: str | None = None
    overrides: Overrides = NO_OVERRIDES
    named: tuple[Named, ...] = ()
    all_contexts: bool = False
    place: Place = Place()
    tls: Tls | None = None
    prefix: str = "/"
    append_server_path: bool = True
    www: Path | None = None
    www_prefix: str = "/static/"
    filters: Filters = field(default_factory=default_filters)
    keepalive: float = 0.0
    allow_origins: tuple[str, ...] = ()
    pass_authorization: bool = False
    pass_impersonation: bool = False
    token_required: bool = False
    open_to_others: bool = False
    page: bool = True
    log: str = ""
    haproxy: Path | None = None

    @property
    def several(self) -> bool:
        """Whether `/clusters/NAME/` leads anywhere."""
        return self.all_contexts or any(one.place is None for one in self.named)
