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
    if problems := upstream_problems(upstream):
        raise InvalidInput(problems)
    backend = Backend(
        name=backend_name(upstream.context),
        servers=tuple(Endpoint(server.address, server.port) for server in upstream.servers),
        tls=upstream.tls,
        verification=_verification(upstream),
    )
    front = Frontend("gate", config.listen, backend, _certificate(config, facts))
    return Plan((front,), facts.max_connections)


def _certificate(config: Config, facts: Facts) -> bytes | None:
    if config.cluster.mode is Mode.PASSTHROUGH:
        return None
    if facts.front is None:
        raise ValueError("a gate that opens TLS needs a certificate")
    return facts.front.pem


def upstream_problems(upstream: UpstreamFacts) -> list[Problem]:
    """Why this API server cannot stand behind a gate; empty if one of its addresses answered and proved what it is."""
    if all(server.trouble for server in upstream.servers):
        return [_trouble(upstream, server) for server in upstream.servers]
    if upstream.tls and upstream.ca_pem is not None and verified_name(upstream) is None:
        return [_no_usable_name(upstream)]
    return []


def _verification(upstream: UpstreamFacts) -> Verification | None:
    name = verified_name(upstream)
    if not upstream.tls or upstream.ca_pem is None or name is None:
        return None
    return Verification(upstream.ca_pem, name, send_sni=not is_address(upstream.name))


def _trouble(upstream: UpstreamFacts, server: ServerFact) -> Problem:
    remedy = server.remedy or "check the address, and that the API server runs"
    return Problem(upstream.where, "upstream.unusable", server.trouble, remedy)


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
        upstream.where,
        "upstream.no-name",
        f"the server is an address, and its certificate has no DNS name that only an API server can have (it has: {carried})",
        f"set tls-server-name to a name of the certificate that no node has, or have {_API_NAME} put into the certificate",
    )


def backend_name(context: str) -> str:
    """A context's name in the letters that HAProxy takes for a section (configuration manual 2.1)."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", context).strip("-.") or "cluster"
