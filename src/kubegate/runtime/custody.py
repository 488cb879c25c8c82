"""`kubegate trust`: the way from this client to an API server, looked at by handshakes alone: no request is sent."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubegate.cluster.context import Context
from kubegate.cluster.credential import Credential
from kubegate.cluster.errors import ClusterError
from kubegate.cluster.kubeconfig import load
from kubegate.cluster.probe import probe
from kubegate.cluster.resolve import resolve
from kubegate.cluster.shown import shown_chain
from kubegate.model.custody import Anchor, Custody, Hop, Login, Shown, Verified, client_hop, gate_hop
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput
from kubegate.pki.certificate import UNPARSABLE, Certificate, load_bundle, read_certificate
from kubegate.pki.pin import pin_of
from kubegate.runtime.gate_of import Behind, behind

# Names that API servers have in their certificates (kubeadm, and what pods look for).
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class TrustFlags:
    """What was typed."""

    kubeconfig: Path | None = None
    context: str | None = None
    config: Path | None = None


def custody(flags: TrustFlags, environ: Mapping[str, str] = os.environ) -> Custody:
    """The way of a context. Raises InvalidInput if the kubeconfig or the declared file cannot be used."""
    context = load(flags.kubeconfig, flags.context, environ)
    first, addresses = asyncio.run(_first(context))
    gate = behind(context.server.endpoint, addresses, context.verified_name, flags.config, environ) if addresses else None
    login = _login(context.credential)
    hops = _hops(first, gate, login)
    return Custody(context.name, context.url, login, hops, tuple(_notes(context, gate, hops)))


async def _first(context: Context) -> tuple[Hop, tuple[str, ...]]:
    """The hop that begins here, as it is declared and as it is now; and the addresses of its end, as far as they are known."""
    tls = context.scheme == "https"
    verified = _verified(context) if tls else None
    hop = Hop("this client", str(context.server.endpoint), tls=tls, verified=verified, where=_where(context))
    if context.proxy_url:
        return replace(hop, notes=("the way leads through a proxy (proxy-url); it was not looked at",)), ()
    try:
        addresses = await resolve(context.host)
    except ClusterError as error:
        return replace(hop, trouble=error.message, hint=error.hint), ()
    return (await _looked_at(hop, context) if tls else hop), addresses


async def _looked_at(hop: Hop, context: Context) -> Hop:
    try:
        hop = replace(hop, shown=await _shown(context))
        if hop.verified is not None:
            await probe(context.host, context.port, context.verified_name, context.ca_pem, as_kubectl=True)
    except ClusterError as error:
        return replace(hop, trouble=error.message, hint=error.hint)
    return hop


async def _shown(context: Context) -> tuple[Shown, ...]:
    try:
        chain = [read_certificate(one) for one in await shown_chain(context.host, context.port, context.verified_name)]
    except UNPARSABLE:
        return ()
    return tuple(Shown(one.subject, one.issuer, one.names, one.not_after, one.sha256, one.self_signed) for one in chain)


def _verified(context: Context) -> Verified | None:
    if context.insecure_skip_tls_verify:
        return None
    if context.ca_pem is None:
        return Verified(context.verified_name, system=True)
    return Verified(context.verified_name, _anchors(context.ca_pem, context.ca_where))


def _anchors(pem: bytes, where: str) -> tuple[Anchor, ...]:
    try:
        return tuple(_anchor(one) for one in load_bundle(pem, where))
    except InvalidInput:
        return ()


def _anchor(one: Certificate) -> Anchor:
    return Anchor(one.subject, pin_of(one))


def _where(context: Context) -> str:
    files = ", ".join(printable(str(file)) for file in context.files)
    return f"{files}: clusters[{printable(context.cluster_name)}]"


def _login(credential: Credential) -> Login:
    """By what the API server knows the user; a bearer token counts before a client certificate."""
    if credential.token or credential.token_file:
        return Login.TOKEN
    if credential.username or credential.password:
        return Login.PASSWORD
    if credential.certificate is not None:
        return Login.CERTIFICATE
    if credential.exec_plugin is not None:
        return Login.PLUGIN
    return Login.PROVIDER if credential.auth_provider else Login.NOTHING


def _hops(first: Hop, gate: Behind | None, login: Login) -> tuple[Hop, ...]:
    if gate is not None and not gate.opened:
        passed = (
            f"through the gate of {printable(str(gate.file))}, which does not open TLS and sees neither requests nor credentials"
        )
        end = f"the API server, by way of {first.end}"
        return (client_hop(replace(first, end=end, notes=(*first.notes, passed, *_told(gate))), login),)
    if gate is None and _is_api_server(first):
        who = "the API server" if first.sound else "what calls itself the API server"
        return (client_hop(replace(first, end=f"{who} at {first.end}"), login),)
    if gate is None:
        unknown = (
            f"what stands at {first.end} is not known from here: no gate that runs here listens there, and its certificate "
            "is not that of an API server. Whoever opens TLS there reads every request and every token"
        )
        hint = "name its declaration (-c kubegate.yaml), or run this where the gate runs"
        further = Hop(first.end, "the API server", unknown=unknown, hint=hint)
        return (client_hop(first, login), further)
    opened = "the gate opens TLS: it reads every request and every token, and so does whoever controls its machine"
    near = replace(first, end=f"the gate at {first.end}", notes=(*first.notes, opened))
    return (client_hop(near, login), gate_hop(_behind(gate, first.end)))


def _behind(gate: Behind, at: str) -> Hop:
    verified = None
    if gate.tls and gate.verified_name is not None:
        where = printable(str(gate.file))
        verified = Verified(gate.verified_name, _anchors(gate.ca_pem, where) if gate.ca_pem else ())
    return Hop(
        start=f"the gate at {at}",
        end=f"the API server at {', '.join(gate.servers) or 'no address that is known'}",
        tls=gate.tls,
        verified=verified,
        where=f"{printable(str(gate.file))}: clusters[{gate.cluster}].upstream",
        trouble="; ".join(gate.down),
        hint="kubegate status" if gate.down else "",
        notes=tuple(_told(gate)),
    )


def _told(gate: Behind) -> list[str]:
    return [f"the gate that runs by {printable(str(gate.file))} said so"] * gate.runs + [gate.note] * bool(gate.note)


def _is_api_server(hop: Hop) -> bool:
    return bool(hop.shown) and any(name in _API_NAMES for name in hop.shown[0].names)


def _notes(context: Context, gate: Behind | None, hops: Sequence[Hop]) -> list[str]:
    notes = []
    first = hops[0]
    if first.verified is not None and first.verified.system:
        notes.append(
            f"the CAs of this machine are trusted: in the middle, a certificate of any of them for {context.verified_name} "
            "would do; the cluster's own CA in the kubeconfig would be one instead of all"
        )
    if context.insecure_skip_tls_verify:
        notes.append("kubegate certs fetch-ca gets the CA that would make the first hop verified")
    if gate is not None and gate.opened and _login(context.credential) is Login.CERTIFICATE:
        notes.append("a client certificate cannot pass a gate that opens TLS: the API server sees no user")
    return notes


def facts(found: Custody) -> dict[str, object]:
    """The way, for scripts."""
    return {
        "context": found.context,
        "server": found.url,
        "login": str(found.login),
        "sound": found.sound,
        "hops": [_hop_facts(hop) for hop in found.hops],
        "notes": list(found.notes),
    }


def _hop_facts(hop: Hop) -> dict[str, object]:
    verified = hop.verified
    return {
        "from": hop.start,
        "to": hop.end,
        "tls": hop.tls,
        "verified": None
        if verified is None
        else {
            "name": verified.name,
            "systemCAs": verified.system,
            "authorities": [{"subject": one.subject, "pin": one.pin} for one in verified.anchors],
        },
        "declaredAt": hop.where,
        "shown": [
            {
                "subject": one.subject,
                "issuer": one.issuer,
                "names": list(one.names),
                "notAfter": one.not_after.isoformat(),
                "sha256": one.sha256,
                "selfSigned": one.self_signed,
            }
            for one in hop.shown
        ],
        "trouble": hop.trouble,
        "hint": hop.hint,
        "unknown": hop.unknown,
        "sound": hop.sound,
        "interceptor": None if hop.unknown else {"gets": [str(one) for one in hop.loot], "says": hop.says},
        "notes": list(hop.notes),
    }
