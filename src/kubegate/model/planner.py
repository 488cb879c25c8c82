"""From a declaration and facts to a plan, or to every problem that stands in the way. Pure."""

import re

from kubegate.model.address import Endpoint, is_address
from kubegate.model.config import Config, Mode
from kubegate.model.facts import Facts, ServerFact, UpstreamFacts
from kubegate.model.plan import Backend, Frontend, Plan, Verification
from kubegate.model.problem import InvalidInput, Problem

# The one family of names that API server certificates carry and that no kubelet can ask for as its node's name.
_API_NAME = "kubernetes.default.svc"


def plan(config: Config, facts: Facts) -> Plan:
    """The plan of one declared gate. Raises InvalidInput if an API server cannot be verified by CA and name."""
    upstream = facts.upstream
    problems = unverified_servers(upstream)
    verification = None
    if upstream.tls and upstream.ca_pem is not None and not problems:
        name = verified_name(upstream)
        if name is None:
            problems.append(_no_usable_name(upstream))
        else:
            verification = Verification(upstream.ca_pem, name, send_sni=not is_address(upstream.name))
    if problems:
        raise InvalidInput(problems)
    backend = Backend(
        name=backend_name(upstream.context),
        servers=tuple(Endpoint(server.address, server.port) for server in upstream.servers),
        tls=upstream.tls,
        verification=verification,
    )
    opened = config.cluster.mode is Mode.TERMINATE
    front = Frontend("gate", config.listen, backend, facts.front.pem if opened and facts.front else None)
    return Plan((front,), facts.max_connections)


def unverified_servers(upstream: UpstreamFacts) -> list[Problem]:
    """Why none of the API server's addresses can be used; empty as soon as one answered as it should."""
    if any(server.certificate or not server.trouble for server in upstream.servers):
        return []
    return [_trouble(upstream, server) for server in upstream.servers]


def _trouble(upstream: UpstreamFacts, server: ServerFact) -> Problem:
    return Problem(
        f"context {upstream.context}: server {upstream.url}",
        "upstream.unusable",
        server.trouble,
        "check the address, the CA and tls-server-name in the kubeconfig, and that the API server runs",
    )


def verified_name(upstream: UpstreamFacts) -> str | None:
    """The DNS name by which HAProxy verifies the API server, None if there is none that proves it.

    HAProxy 2.8 does not match IP addresses. For a server declared as an address, chain and address were verified in the handshake
    that these facts come from; a DNS name of the same certificate stands for it from then on, and only one that no node can have.
    """
    if not is_address(upstream.name):
        return upstream.name
    shown = [set(server.certificate.dns_names) for server in upstream.servers if server.certificate]
    common = set.intersection(*shown) if shown else set()
    candidates = sorted(name for name in common if name == _API_NAME or name.startswith(f"{_API_NAME}."))
    return candidates[0] if candidates else None


def _no_usable_name(upstream: UpstreamFacts) -> Problem:
    shown = sorted({name for server in upstream.servers if server.certificate for name in server.certificate.dns_names})
    carried = ", ".join(shown) if shown else "none"
    return Problem(
        f"context {upstream.context}: server {upstream.url}",
        "upstream.no-name",
        f"the server is an address, and its certificate has no DNS name that only an API server can have (it has: {carried})",
        f"use a server name instead of an address, or set tls-server-name to a name of the certificate, such as {_API_NAME}",
    )


def backend_name(context: str) -> str:
    """A context's name in the letters that HAProxy takes for a section (configuration manual 2.1)."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", context).strip("-.") or "cluster"
