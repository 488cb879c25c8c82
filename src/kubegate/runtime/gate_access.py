"""How clients reach the clusters behind a declared gate: address, name, and whom they have to trust. Nothing is made."""

import asyncio
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kubegate.cluster.files import read_file
from kubegate.cluster.peer import handshake
from kubegate.cluster.tls import inquiring_context
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig, Config, Demand, FrontFiles, Mode
from kubegate.model.gate_status import GateStatus
from kubegate.model.gatefile import Declaration
from kubegate.model.names import covers, printable
from kubegate.model.places import Places
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import Certificate, load_bundle, pem_chain, read_certificate
from kubegate.pki.system import system_ca_file
from kubegate.pki.trust import client_ca
from kubegate.runtime import control_client, upstreams
from kubegate.runtime.findings import Findings
from kubegate.runtime.front import own_folder
from kubegate.runtime.inputs import certificate_names
from kubegate.runtime.listening import client_host, dial_host, reachable

_LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class GateAccess:
    """One cluster behind a gate. `host` is what stands in a client's URL, `dial` where this machine reaches the listener.

    `name` is what clients verify and send as SNI. `ca_pem` None means the system's CAs. `opened` says whether the gate opens
    TLS, `asks` whether it asks for a client certificate then, and `demands` whether nobody comes in without one; `servers` are
    the API servers that the file declares, and those of its kubeconfig.
    """

    cluster: str
    host: str
    port: int
    dial: str
    name: str
    ca_pem: bytes | None = field(repr=False)
    opened: bool
    asks: bool
    demands: bool
    servers: tuple[Endpoint, ...]

    def url(self, address: str = "") -> str:
        """The URL for clients, at `address` if one is given."""
        return f"https://{Endpoint(address or self.host, self.port)}"

    def server_name(self, address: str = "") -> str | None:
        """What `tls-server-name` has to say for that URL; None where its host says it."""
        return None if self.name == (address or self.host) else self.name


@dataclass(frozen=True, slots=True)
class _Shown:
    """The certificate of a gate as its clients have to know it: its names, and the CA for them."""

    names: tuple[str, ...]
    ca_pem: bytes | None = field(repr=False)


def accesses(
    declaration: Declaration, file: Path, environ: Mapping[str, str] = os.environ, wanted: tuple[str, ...] = ()
) -> tuple[GateAccess, ...]:
    """The clusters of a declared file (those that are `wanted`, else all). Raises InvalidInput with every problem.

    A certificate that the gate makes by itself is read from where it is kept, or, checked by its fingerprint, from the gate of
    this file that runs.
    """
    config, findings = declaration.config, Findings([])
    known = [cluster.name for cluster in config.clusters]
    for name in wanted:
        if name not in known:
            message = f"there is no cluster {printable(name)} in {printable(str(file))}"
            findings.problems.append(Problem("--cluster", "gate.cluster", message, f"one of: {', '.join(known)}"))
    found = []
    status = _status(file, environ)
    for number, cluster in enumerate(config.clusters):
        if not wanted or cluster.name in wanted:
            with findings.also(declaration.places.at("clusters", number), "cluster"):
                found.append(_access(config, cluster, declaration.places, number, status, environ))
    findings.raise_if_any()
    return tuple(found)


def _access(
    config: Config, cluster: ClusterConfig, places: Places, number: int, status: GateStatus | None, environ: Mapping[str, str]
) -> GateAccess:
    listener = next(one for one in config.listeners if cluster in config.reached_at(one))
    address, clients = listener.address, listener.client_certificates
    host = client_host(cluster, address, reachable(address))
    declared = upstreams.read(cluster, functools.partial(places.at, "clusters", number, "upstream"), environ)
    if cluster.mode is Mode.PASSTHROUGH:
        # Without an own name of the cluster's no client could ask for it, and where there are several it has to.
        name = declared.name if declared.name in cluster.hosts or not cluster.hosts else cluster.hosts[0]
        named = cluster.upstream.ca is not None or declared.context is not None
        ca_pem = declared.context.ca_pem if declared.context else declared.ca_pem if named else None
        name = name or host
    else:
        shown = _shown(config, cluster, status, dial_host(address), address.port, environ)
        name, ca_pem = _name(shown.names, host, cluster), shown.ca_pem
    return GateAccess(
        cluster=cluster.name,
        host=host,
        port=address.port,
        dial=dial_host(address),
        name=name,
        ca_pem=ca_pem,
        opened=cluster.mode is not Mode.PASSTHROUGH,
        asks=clients is not None,
        demands=clients is not None and clients.mode is Demand.REQUIRED,
        servers=declared.servers,
    )


def _name(names: tuple[str, ...], host: str, cluster: ClusterConfig) -> str:
    """The name by which a client that dials `host` verifies the gate and says which cluster it means."""
    wanted = [host, *cluster.hosts, *(name for name in names if not is_address(name) and not name.startswith("*."))]
    return next((one for one in wanted if covers(names, one)), host)


def _shown(
    config: Config, cluster: ClusterConfig, status: GateStatus | None, dial: str, port: int, environ: Mapping[str, str]
) -> _Shown:
    if cluster.certificate is not None:
        return _given(cluster.certificate)
    names = certificate_names(cluster, config) or (f"{cluster.name}.invalid",)
    running = next((one for one in status.clusters if one.name == cluster.name), None) if status else None
    wanted = running.certificate.sha256 if running and running.certificate else ""
    file = own_folder(names, environ) / "certificate.pem"
    if file.is_file():
        kept = _certificates(file)[0]
        if wanted in ("", kept.sha256):
            return _Shown(kept.names, kept.pem)
    if wanted:
        return asyncio.run(_looked_at(Endpoint(dial, port), next(iter(cluster.hosts), ""), wanted))
    message = "has no certificate yet: the gate makes one of its own when it is started, and clients have to know it"
    hint = "start the gate first, or declare a certificate"
    raise InvalidInput([Problem(f"cluster {cluster.name}", "gate.certificate", message, hint)])


def _given(files: FrontFiles) -> _Shown:
    """The certificate of the declared files, whose key only the gate has to be able to read."""
    chain = [*_certificates(files.cert), *(_certificates(files.chain) if files.chain else ())]
    if files.ca is not None:
        return _Shown(chain[0].names, pem_chain(_certificates(files.ca)))
    return _Shown(chain[0].names, client_ca(chain, printable(str(files.cert)), datetime.now(UTC), system_ca_file())[0])


def _certificates(file: Path) -> list[Certificate]:
    where = printable(str(file))
    return load_bundle(read_file(file, where, "file.unreadable"), where)


async def _looked_at(at: Endpoint, name: str, wanted: str) -> _Shown:
    """The certificate that a gate shows, which is believed because its status has the fingerprint of it."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            leaf = await handshake(at.host, at.port, inquiring_context(), name or None)
    except OSError:
        leaf = None
    shown = read_certificate(leaf.parsed) if leaf else None
    if shown is None or shown.sha256 != wanted:
        message = f"the gate at {at} does not show the certificate that its status tells"
        raise InvalidInput([Problem("the gate", "gate.certificate", message, "see kubegate status, and who listens there")])
    return _Shown(shown.names, shown.pem)


def _status(file: Path, environ: Mapping[str, str]) -> GateStatus | None:
    """The status of the gate of this file, None if it does not run."""
    try:
        return control_client.status(file, environ)
    except KubegateError:
        return None
