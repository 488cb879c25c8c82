"""A kubeconfig's context, with its cluster and user resolved: all that a client needs to know about one API server."""

from dataclasses import dataclass, field
from pathlib import Path

from kubegate.cluster.credential import Credential
from kubegate.cluster.server import Server
from kubegate.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Context:
    """One context. `namespace` is `default` where none is set; `files` are the kubeconfigs that were read, and `missing`
    those of the list that are not there.

    `ca_pem` holds certificates only and is None where the system's CAs count, or where there is no TLS; `ca_where` is
    the field that gave it, or empty. `proxy_url` may hold a password. `plugin_config` is JSON text of the cluster's
    extension for exec plugins, or empty. `ca_file` is the file that the CA stands in, if it is one. `declared_server` is
    the URL as it was written. `kuberc` is the file that a flag names for the rules about plugins, or empty. `warnings`
    say what of the kubeconfig is not used. `implicit` ones stand in no kubeconfig and are called `in-cluster` or `default`.
    """

    name: str
    cluster_name: str
    user_name: str
    namespace: str
    server: Server
    ca_pem: bytes | None = field(repr=False)
    ca_where: str
    tls_server_name: str | None
    insecure_skip_tls_verify: bool
    proxy_url: str | None = field(repr=False)
    disable_compression: bool
    credential: Credential
    files: tuple[Path, ...]
    plugin_config: str = field(default="", repr=False)
    ca_file: Path | None = None
    missing: tuple[Path, ...] = ()
    declared_server: str = ""
    kuberc: str = ""
    warnings: tuple[Problem, ...] = ()
    implicit: bool = False

    @property
    def url(self) -> str:
        """The server's URL without trailing slash."""
        return self.server.url

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return self.server.scheme

    @property
    def host(self) -> str:
        """The server's host, a DNS name or an address without brackets."""
        return self.server.endpoint.host

    @property
    def port(self) -> int:
        """The server's TCP port."""
        return self.server.endpoint.port

    @property
    def path_prefix(self) -> str:
        """The path of the server's URL, empty or `/without/end`."""
        return self.server.path

    @property
    def verified_name(self) -> str:
        """The name or address that clients verify in the server's certificate."""
        return self.tls_server_name or self.host
