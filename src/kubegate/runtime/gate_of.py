"""Which gate of this machine answers at a URL, and what it verifies behind: by its status, or by the file that declares it."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, parse_listen
from kubegate.model.config import ClusterConfig, Mode
from kubegate.model.gate_status import ClusterStatus, GateStatus
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime import control_client, upstreams
from kubegate.runtime.gate_folders import running
from kubegate.runtime.reading import read_file
from kubegate.system.network import interface_of


@dataclass(frozen=True, slots=True)
class Behind:
    """What a gate has behind one name. `verified_name` is None where it verifies nobody; `ca_pem` None where that is not known,
    or the system's CAs count (`system`). `runs` says that it was the running gate that told.
    """

    file: Path
    cluster: str
    opened: bool
    tls: bool
    verified_name: str | None
    servers: tuple[str, ...]
    ca_pem: bytes | None = None
    runs: bool = False
    down: tuple[str, ...] = ()
    note: str = ""


def behind(
    at: Endpoint, addresses: tuple[str, ...], name: str, file: Path | None, environ: Mapping[str, str] = os.environ
) -> Behind | None:
    """The gate that listens at `at` (whose host has these addresses) and what it has behind `name`; None if none is known.

    `file` is the declaration that is meant; without it the gates that run here are asked. Raises InvalidInput if the file
    cannot be used, or has nothing behind that name.
    """
    if file is not None:
        return _declared(file, at, addresses, name, environ)
    for found in sorted(running(environ)):
        try:
            status = control_client.status(found, environ)
        except KubegateError:
            continue
        cluster = _cluster(status, at, addresses, name)
        if cluster is not None:
            return _told(status, cluster, environ)
    return None


def _declared(file: Path, at: Endpoint, addresses: tuple[str, ...], name: str, environ: Mapping[str, str]) -> Behind:
    try:
        status = control_client.status(file, environ)
    except KubegateError:
        return _by_file(file, at, addresses, name, environ)
    cluster = _cluster(status, at, addresses, name)
    if cluster is None:
        raise InvalidInput([_nothing_there(file, at, name)])
    return _told(status, cluster, environ)


def _by_file(file: Path, at: Endpoint, addresses: tuple[str, ...], name: str, environ: Mapping[str, str]) -> Behind:
    config = read_file(file).config
    for listener in config.listeners:
        if not _listens(listener.address, at, addresses):
            continue
        here = [one for one in config.clusters if not listener.clusters or one.name in listener.clusters]
        found = next((one for one in here if name in one.hosts), None)
        found = found or next((one for one in here if one.name == listener.default_cluster), here[0] if len(here) == 1 else None)
        if found is not None:
            return _of(file, found, environ)
    raise InvalidInput([_nothing_there(file, at, name)])


def _of(file: Path, cluster: ClusterConfig, environ: Mapping[str, str]) -> Behind:
    declared = upstreams.read(cluster, functools.partial(_place, file, cluster), environ)
    unverified = cluster.upstream.insecure or not declared.tls
    return Behind(
        file=file,
        cluster=cluster.name,
        opened=cluster.mode is Mode.TERMINATE,
        tls=declared.tls,
        verified_name=None if unverified else declared.name or "its own address, or a name that only API servers have",
        servers=tuple(map(str, declared.servers)),
        ca_pem=declared.ca_pem,
        note="the file was read; no gate of it runs here",
    )


def _place(file: Path, cluster: ClusterConfig, *keys: str) -> str:
    return f"{printable(str(file))}: clusters[{cluster.name}].{'.'.join(('upstream', *keys))}"


def _told(status: GateStatus, cluster: ClusterStatus, environ: Mapping[str, str]) -> Behind:
    file = Path(status.file)
    ca_pem, note, tls = None, "", True
    try:
        config = next(one for one in read_file(file).config.clusters if one.name == cluster.name)
        declared = upstreams.read(config, functools.partial(_place, file, config), environ)
        ca_pem, tls = declared.ca_pem, declared.tls
    except (KubegateError, StopIteration):
        note = "which CA it verifies by could not be read from its file"
    if status.refused:
        note = "its file is refused as it is now: what runs is an earlier one, whose CA may be another"
        ca_pem = None
    return Behind(
        file=file,
        cluster=cluster.name,
        opened=cluster.mode is Mode.TERMINATE,
        tls=tls,
        verified_name=cluster.verified_name,
        servers=tuple(server.address for server in cluster.servers),
        ca_pem=ca_pem,
        runs=True,
        down=tuple(f"{server.address} is {server.state}: {server.why}" for server in cluster.servers if server.state == "down"),
        note=note,
    )


def _cluster(status: GateStatus, at: Endpoint, addresses: tuple[str, ...], name: str) -> ClusterStatus | None:
    """The cluster to which the gate leads a client that asks for `name` at this address."""
    for listener in status.listeners:
        if not _listens(parse_listen(listener.address), at, addresses):
            continue
        here = [one for one in status.clusters if one.name in listener.clusters]
        fitting = next((one for one in here if name in one.hosts), None)
        return fitting or next((one for one in here if one.name == listener.default_cluster), here[0] if len(here) == 1 else None)
    return None


def _listens(listener: Endpoint, at: Endpoint, addresses: tuple[str, ...]) -> bool:
    if listener.port != at.port:
        return False
    if listener.is_wildcard:
        return any(interface_of(one) for one in addresses)
    return listener.host in addresses


def _nothing_there(file: Path, at: Endpoint, name: str) -> Problem:
    message = f"it has no cluster behind {at} for the name {printable(name)}, which is where this kubeconfig leads"
    return Problem(printable(str(file)), "trust.gate", message, "name the file of the gate that the kubeconfig leads to")
