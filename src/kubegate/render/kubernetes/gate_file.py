"""The declared file as the pod reads it: what it names is beside it, and no credential of a person is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubegate.model.gatefile import Declaration
from kubegate.render.sites import Site
from kubegate.render.yaml_text import dumped

FOLDER = "/etc/kubegate"
FILE = "kubegate.yaml"


@dataclass(frozen=True, slots=True)
class GateFiles:
    """The text of the file, and the CA bundles beside it, by cluster."""

    text: str
    authorities: Mapping[str, bytes] = field(repr=False)


def gate_files(found: Sequence[Site], declared: Declaration) -> GateFiles:
    """The declaration with the names of mounted files."""
    document: dict[str, Any] = declared.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    authorities = {}
    for site, entry in zip(found, document["clusters"], strict=True):
        if site.opened and "certificate" in entry:
            entry["certificate"] = {"cert": certificate_path(site.name), "key": key_path(site.name)}
        upstream = entry["upstream"]
        if upstream.get("discover"):
            entry["upstream"] = {"discover": True}
            continue
        if "servers" not in upstream:
            upstream = _listed(site)
        if "ca" in upstream and site.verification is not None:
            upstream["ca"] = authority_path(site.name)
            authorities[site.name] = site.verification.ca_pem
        entry["upstream"] = upstream
    return GateFiles(dumped(document), authorities)


def _listed(site: Site) -> dict[str, Any]:
    """What a kubeconfig says of its API server, without whoever's credential."""
    found: dict[str, Any] = {"servers": [str(server) for server in site.servers]}
    if site.verification is None:
        return found | {"verification": "none"}
    found["ca"] = ""
    # Where the server is an address, the gate finds out the name by itself.
    return found | ({"serverName": site.verification.name} if site.verification.send_sni else {})


def certificate_path(cluster: str) -> str:
    """Where the certificate of a cluster is, below the folder of the file."""
    return f"tls/{cluster}.crt"


def key_path(cluster: str) -> str:
    """Where its key is."""
    return f"tls/{cluster}.key"


def authority_path(cluster: str) -> str:
    """Where the CA of its API servers is."""
    return f"ca/{cluster}.crt"
