"""From flags to everything that a gate needs before it starts: every problem at once, and nothing changed until there is none."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kubegate.cluster.kubeconfig import Context, load
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import ClusterConfig, Mode
from kubegate.model.facts import Facts, FrontCertificate, UpstreamFacts
from kubegate.model.plan import Plan
from kubegate.model.planner import plan, unverified_servers
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Reach
from kubegate.pki.front import load_given
from kubegate.pki.self_signed import self_signed
from kubegate.runtime import binary, gather
from kubegate.runtime.declare import Declared, Flags, declare
from kubegate.runtime.generation import Store
from kubegate.system import network
from kubegate.system.files import write_atomically
from kubegate.system.folders import runtime_folder, state_folder


@dataclass(frozen=True, slots=True)
class Front:
    """What clients see: the certificate, where it is kept, and what is worth saying about it."""

    certificate: FrontCertificate
    file: Path | None
    newly_made: bool
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A gate that can start: nothing runs yet. `store` is locked for this process and must be released."""

    declared: Declared
    context: Context
    upstream: UpstreamFacts
    front: Front | None
    reach: tuple[Reach, ...]
    plan: Plan
    binary: binary.Binary
    store: Store
    warnings: tuple[Problem, ...] = field(default=())

    @property
    def listen(self) -> Endpoint:
        """Where the gate listens."""
        return self.declared.config.listen

    @property
    def opened(self) -> bool:
        """Whether the gate opens TLS."""
        return self.declared.config.cluster.mode is Mode.TERMINATE


class _Findings:
    """Collects problems so that one does not hide another."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    @contextlib.contextmanager
    def also(self, where: str = "", code: str = "") -> Iterator[None]:
        try:
            yield
        except InvalidInput as error:
            self.problems.extend(error.problems)
        except KubegateError as error:
            self.problems.append(Problem(where, code, error.message, error.hint))

    def raise_if_any(self) -> None:
        if self.problems:
            raise InvalidInput(self.problems)


async def prepare(flags: Flags, environ: Mapping[str, str]) -> Prepared:
    """Check everything, make the front certificate, lock the working folder. Raises InvalidInput with every problem."""
    declared, problems = declare(flags)
    findings = _Findings(problems)
    cluster = declared.config.cluster
    context: Context | None = None
    upstream: UpstreamFacts | None = None
    with findings.also():
        context = load(cluster.upstream.kubeconfig, cluster.upstream.context, environ)
    if context is not None:
        refused = gather.refusals(cluster, context)
        problems += refused
        with findings.also():
            upstream = None if refused else await gather.upstream_facts(cluster, context)
    if upstream is not None:
        problems += unverified_servers(upstream)
    listen = declared.config.listen
    if not any(problem.where == "--listen" for problem in problems):
        listen = _listen(listen, environ, findings)
    reach = reachable(listen)
    front: Front | None = None
    with findings.also():
        front = _given_front(cluster, names_in_play(cluster, listen, reach))
    if flags.out is not None and context is not None:
        problems += _wrong_out(flags.out, context)
    program: binary.Binary | None = None
    with findings.also("--haproxy" if flags.haproxy else "HAProxy", "haproxy"):
        program = binary.find(flags.haproxy)
    findings.raise_if_any()
    assert context is not None and upstream is not None and program is not None
    declared = Declared(declared.config.model_copy(update={"listen": listen}), declared.account)
    with findings.also("the state folder", "folder"):
        front = front or _own_front(declared, names_in_play(cluster, listen, reach), environ)
    findings.raise_if_any()
    facts = Facts(upstream, front.certificate if front else None, gather.most_connections())
    planned = plan(declared.config, facts)
    store = Store(runtime_folder(environ) / store_name(listen))
    with findings.also(f"--listen {listen}", "listen.taken"):
        store.acquire()
    findings.raise_if_any()
    warnings = (
        *gather.mode_warnings(cluster, context, has_account=declared.account is not None),
        *_dead_servers(upstream),
        *_open_to_others(listen, reach),
    )
    return Prepared(declared, context, upstream, front, reach, planned, program, store, warnings)


def store_name(listen: Endpoint) -> str:
    """The folder of a gate, by where it listens."""
    return f"{listen.host.replace(':', '_')}-{listen.port}"


def reachable(listen: Endpoint) -> tuple[Reach, ...]:
    """On which interfaces and addresses a listener can be reached."""
    if listen.is_wildcard:
        found = network.reachable_addresses(ipv6=":" in listen.host)
        return tuple(Reach(interface=interface, address=address) for interface, address in found)
    return (Reach(interface=network.interface_of(listen.host) or "?", address=listen.host),)


def names_in_play(cluster: ClusterConfig, listen: Endpoint, reach: tuple[Reach, ...]) -> list[str]:
    """The names and addresses by which clients may reach the gate: what its certificate has to carry, no more."""
    names = [*cluster.hosts, *(entry.address for entry in reach)]
    if listen.is_loopback or listen.is_wildcard:
        names.append("localhost")
    return list(dict.fromkeys(names))


def _listen(listen: Endpoint, environ: Mapping[str, str], findings: _Findings) -> Endpoint:
    if listen.port == 0:
        listen = Endpoint(listen.host, network.free_port(listen.host))
    leftover = Store(runtime_folder(environ) / store_name(listen))
    if leftover.has_leftover():
        return listen
    if why := network.why_not_bindable(listen.host, listen.port):
        findings.problems.append(
            Problem(f"--listen {listen}", "listen.unusable", f"it cannot be listened on: {why}", _listen_hint(listen, why))
        )
    return listen


def _listen_hint(listen: Endpoint, why: str) -> str:
    if "in use" in why:
        return f"another program listens there (ss -ltnp 'sport = :{listen.port}' names it); stop it or choose another port"
    if "denied" in why.lower():
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port"
    return "choose an address of this machine (ip address lists them)"


def _given_front(cluster: ClusterConfig, names: list[str]) -> Front | None:
    if cluster.front is None:
        return None
    certificate, warnings = load_given(cluster.front.cert, cluster.front.key, names, datetime.now(UTC))
    return Front(certificate, None, newly_made=False, warnings=tuple(warnings))


def _own_front(declared: Declared, names: list[str], environ: Mapping[str, str]) -> Front | None:
    if declared.config.cluster.mode is Mode.PASSTHROUGH:
        return None
    folder = state_folder(environ) / "front" / store_name(declared.config.listen)
    certificate, newly_made, key_file = self_signed(folder, names, datetime.now(UTC))
    # Clients are pointed at a file without the key.
    file = key_file.with_name("certificate.pem")
    write_atomically(file, certificate.client_ca_pem or b"")
    return Front(certificate, file, newly_made=newly_made, warnings=())


def _wrong_out(out: Path, context: Context) -> list[Problem]:
    where = f"--out {out}"
    if out.is_dir():
        return [Problem(where, "out.folder", "it is a folder", "name a file in it")]
    if not out.absolute().parent.is_dir():
        return [Problem(where, "out.no-folder", "its folder does not exist", f"mkdir -p {out.parent}")]
    if out.resolve() in {file.resolve() for file in context.files}:
        return [Problem(where, "out.source", "it is the kubeconfig that this command reads", "choose another file")]
    return []


def _dead_servers(upstream: UpstreamFacts) -> list[Problem]:
    return [
        Problem(
            f"server {server.address}",
            "upstream.dead",
            f"{server.trouble}; the others carry the traffic",
            "the gate takes it in as soon as it proves itself",
        )
        for server in upstream.servers
        if server.trouble
    ]


def _open_to_others(listen: Endpoint, reach: tuple[Reach, ...]) -> list[Problem]:
    if listen.is_loopback:
        return []
    where = ", ".join(f"{entry.address} ({entry.interface})" for entry in reach)
    return [
        Problem(
            f"--listen {listen}",
            "listen.open",
            f"everyone who can reach {where} can try to log in here",
            "limit the senders by a firewall, or listen on 127.0.0.1",
        )
    ]


def client_host(cluster: ClusterConfig, listen: Endpoint, reach: tuple[Reach, ...]) -> str:
    """The host that clients are told: the first declared name, else an address that reaches the gate."""
    if cluster.hosts:
        return cluster.hosts[0]
    if not listen.is_wildcard:
        return listen.host
    outside = [entry.address for entry in reach if not Endpoint(entry.address, 0).is_loopback]
    return next(iter(outside), "127.0.0.1")


def dial_host(listen: Endpoint) -> str:
    """The address on which this machine itself reaches the gate."""
    if not listen.is_wildcard:
        return listen.host
    return "::1" if ":" in listen.host else "127.0.0.1"


def client_names(prepared: Prepared) -> tuple[str, str | None]:
    """The host of the client's URL, and `tls-server-name` where the certificate is for another name."""
    host = client_host(prepared.declared.config.cluster, prepared.listen, prepared.reach)
    if not prepared.opened:
        verification = prepared.plan.frontends[0].backend.verification
        return host, verification.name if verification else None
    assert prepared.front is not None
    names = prepared.front.certificate.names
    if host in names or any(name.startswith("*.") and name[1:] == host[host.find(".") :] for name in names):
        return host, None
    plain = [name for name in names if not is_address(name) and not name.startswith("*.")]
    return host, plain[0] if plain else None
