"""The ways to a cluster's API that can be found out from here: the kubeconfig's own, gates, what the cluster itself names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubegate.cluster.authority import certificates_only
from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.environ_proxy import proxy_for
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.files import read_file
from kubegate.cluster.login import Login
from kubegate.cluster.published import service
from kubegate.cluster.server import Server, host_name, parse_server
from kubegate.errors import KubegateError
from kubegate.model.address import Endpoint, is_address
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.pki.certificate import check_ca
from kubegate.runtime.findings import Findings
from kubegate.runtime.gate_access import GateAccess, accesses
from kubegate.runtime.reading import read_file as read_declaration

# A name that the certificates of all API servers have and that no kubelet can ask for.
COMMON_NAME = "kubernetes.default.svc"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed beside the kubeconfig: a gate's file and clusters of it, and servers with their CA and name."""

    config: Path | None = None
    clusters: Sequence[str] = ()
    servers: Sequence[str] = ()
    ca: Path | None = None
    tls_server_name: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """One way. `kind` is kubeconfig, gate, server, service or member; `context` is how a client goes it.

    `asked` says that a person named it: then it has to work. `opened` says that a gate opens TLS on it, and `asks` that it asks
    for a client certificate.
    """

    kind: str
    name: str
    context: Context
    asked: bool = True
    opened: bool = False
    asks: bool = False

    @property
    def url(self) -> str:
        """Its server."""
        return self.context.url

    def login(self, login: Login) -> Login:
        """What of the credential can go this way: a client certificate ends where TLS is opened and none is asked for."""
        return replace(login, certificate_pem=b"", key_pem=b"") if self.opened and not self.asks else login


@dataclass(frozen=True, slots=True)
class Found:
    """The ways that the cluster names, and why others could not be found out."""

    ways: tuple[Way, ...]
    notes: tuple[Problem, ...]


def asked_ways(context: Context, asked: Asked, environ: Mapping[str, str]) -> tuple[Way, ...]:
    """The kubeconfig's own way, and those that were typed. Raises InvalidInput with every problem."""
    findings = Findings(list(_combinations(asked)))
    ways = []
    with findings.also("the environment", "proxy.url"):
        ways.append(Way("kubeconfig", context.name, proxied(context, environ)))
    with findings.also("--config", "cluster"):
        ways += _gates(context, asked, environ)
    with findings.also("--server", "kubeconfig.server"):
        ways += _servers(context, asked)
    findings.raise_if_any()
    return tuple(ways)


def proxied(context: Context, environ: Mapping[str, str]) -> Context:
    """The context with the proxy that the environment names, if the kubeconfig names none."""
    return context if context.proxy_url else replace(context, proxy_url=proxy_for(context.url, environ))


async def found_ways(context: Context, login: Login) -> Found:
    """The Service `kubernetes` and each member of the control plane, as the cluster itself names them to the context's user."""
    ways: list[Way] = []
    notes: list[Problem] = []
    if context.scheme != "https":
        return Found((), ())
    async with ApiClient(context, login, timeout=_SECONDS) as client:
        try:
            inside = (await service(client)).addresses
            ways += [Way("service", "kubernetes", by_address(context, at), asked=False) for at in inside]
        except ClusterError as error:
            notes.append(_note("the Service kubernetes", error))
        try:
            members = await client.api_servers()
            ways += [Way("member", str(at), by_address(context, at), asked=False) for at in members]
        except ClusterError as error:
            notes.append(_note("EndpointSlices", error))
    return Found(tuple(ways), tuple(notes))


def by_address(context: Context, at: Endpoint) -> Context:
    """The same cluster at one of its addresses, verified by the kubeconfig's CA and by a name that only API servers have.

    An address would prove nothing: the kubelet of the machine has a certificate of the same CA for it.
    """
    name = context.verified_name
    server = Server("https", at)
    return replace(context, server=server, tls_server_name=COMMON_NAME if is_address(name) else name, proxy_url=None)


def through(context: Context, access: GateAccess) -> Context:
    """The context by way of a gate, at the address where this machine reaches it."""
    return replace(
        context,
        server=Server("https", Endpoint(access.dial, access.port)),
        ca_pem=access.ca_pem,
        tls_server_name=access.name,
        insecure_skip_tls_verify=False,
        proxy_url=None,
    )


def leads_to(access: GateAccess, servers: Iterable[Endpoint]) -> bool:
    """Whether a cluster behind a gate is the one that has one of these API servers."""
    return bool(set(access.servers) & set(servers))


def _combinations(asked: Asked) -> Iterator[Problem]:
    if asked.clusters and asked.config is None:
        yield Problem("--cluster", "flag.combination", "it chooses clusters of a declared file", "add -c FILE")
    for flag, given in (("--ca", asked.ca), ("--tls-server-name", asked.tls_server_name)):
        if given and not asked.servers:
            yield Problem(flag, "flag.combination", "it says how --server is verified, and there is none", "add --server URL")


def _gates(context: Context, asked: Asked, environ: Mapping[str, str]) -> Iterator[Way]:
    """Clusters of a declared gate that are this context's, so that its credential is shown to no other cluster."""
    if asked.config is None:
        return
    found = accesses(read_declaration(asked.config), asked.config, environ, tuple(asked.clusters))
    if not asked.clusters:
        found = tuple(one for one in found if leads_to(one, [context.server.endpoint]))
    if not found:
        where = f"{printable(str(asked.config))}"
        message = f"no cluster in it names the API server {context.server.endpoint} of context {printable(context.name)}"
        hint = "say which cluster is the same: --cluster NAME; its API servers then see the context's credential"
        raise InvalidInput([Problem(where, "gate.cluster", message, hint)])
    for one in found:
        yield Way("gate", one.cluster, through(context, one), opened=one.opened, asks=one.asks)


def _servers(context: Context, asked: Asked) -> list[Way]:
    findings = Findings([])
    ca_pem, name = context.ca_pem, context.tls_server_name
    if asked.ca is not None:
        where = f"--ca {printable(str(asked.ca))}"
        with findings.also():
            content = read_file(asked.ca, where, "file.unreadable")
            findings.problems += check_ca(content, where)
            ca_pem = certificates_only(content, where)
    if asked.tls_server_name:
        try:
            name = host_name(asked.tls_server_name)
        except ValueError:
            where, message = f"--tls-server-name {printable(asked.tls_server_name)}", "is neither a DNS name nor an IP address"
            findings.problems.append(Problem(where, "flag.host", message, "write it without scheme and port"))
    found = []
    for text in asked.servers:
        with findings.also():
            server = parse_server(text, "--server" if "@" in text else f"--server {printable(text)}")
            changed = replace(context, server=server, ca_pem=ca_pem, tls_server_name=name, insecure_skip_tls_verify=False)
            found.append(Way("server", server.url, replace(changed, proxy_url=None)))
    findings.raise_if_any()
    return found


def _note(what: str, error: KubegateError) -> Problem:
    return Problem(what, "connection.unknown", error.message, error.hint)
