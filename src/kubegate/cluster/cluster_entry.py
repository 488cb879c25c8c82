"""The `cluster` of a kubeconfig: server, CA and how it is reached, with the checks of kubectl (validateClusterInfo)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kubegate.cluster.authority import read_authority
from kubegate.cluster.document import Entry
from kubegate.cluster.fields import Fields
from kubegate.cluster.server import Server, host_name, parse_server
from kubegate.model.problem import InvalidInput, Problem

_PROXY_SCHEMES = ("http", "https", "socks5")
_PLUGIN_EXTENSION = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True)
class ClusterEntry:
    """What a cluster declares. `server` is None only where its URL is wrong, and then a problem says so."""

    server: Server | None
    ca_pem: bytes | None = field(repr=False)
    ca_where: str
    tls_server_name: str | None
    insecure_skip_tls_verify: bool
    proxy_url: str | None = field(repr=False)
    disable_compression: bool
    plugin_config: str = field(repr=False)
    ca_file: Path | None
    declared_server: str


def read_cluster(entry: Entry, problems: list[Problem]) -> ClusterEntry:
    """What a cluster declares; everything that is wrong with it is added to `problems`."""
    fields = entry.fields(problems)
    server = _server(fields)
    ca_pem, ca_where = read_authority(fields)
    insecure = fields.flag("insecure-skip-tls-verify")
    if insecure and ca_where and not (server and server.scheme == "http"):
        message = "switches off the verification for which the same cluster gives a CA"
        fields.wrong("insecure-skip-tls-verify", "insecure", message, "remove it, so that the CA counts")
    return ClusterEntry(
        server=server,
        ca_pem=ca_pem,
        ca_where=ca_where,
        tls_server_name=_server_name(fields),
        insecure_skip_tls_verify=insecure,
        proxy_url=_proxy(fields),
        disable_compression=fields.flag("disable-compression"),
        plugin_config=_plugin_config(fields),
        ca_file=fields.path("certificate-authority"),
        declared_server=str(fields.raw("server") or ""),
    )


def _server(fields: Fields) -> Server | None:
    text = fields.text("server")
    if not text:
        if fields.raw("server") in (None, ""):
            fields.wrong("server", "server", "is missing", "write https://HOST:PORT")
        return None
    try:
        return parse_server(text, fields.at("server"))
    except InvalidInput as error:
        fields.note(error.problems)
        return None


def _server_name(fields: Fields) -> str | None:
    text = fields.text("tls-server-name")
    try:
        return host_name(text) if text else None
    except ValueError:
        fields.wrong("tls-server-name", "tls-server-name", "is neither a DNS name nor an IP address")
        return None


def _proxy(fields: Fields) -> str | None:
    text = fields.text("proxy-url")
    if not text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        fields.wrong("proxy-url", "proxy-url", f"is no URL of a proxy ({', '.join(_PROXY_SCHEMES)})")
        return None
    return text


def _plugin_config(fields: Fields) -> str:
    """The extension that kubectl hands to exec plugins as `spec.cluster.config`, as JSON text."""
    for extension in fields.entries("extensions"):
        if extension.text("name") == _PLUGIN_EXTENSION:
            try:
                return json.dumps(extension.raw("extension"))
            except (TypeError, ValueError, RecursionError):
                extension.wrong("extension", "extension", "cannot be written as JSON")
    return ""
