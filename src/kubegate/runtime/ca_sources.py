"""Where a cluster's CA can be had: each way, and what is to be known about what came by it. Nothing is believed here."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from urllib.parse import quote

from kubegate.cluster import cluster_info
from kubegate.cluster.client import ApiClient
from kubegate.cluster.context import Context
from kubegate.cluster.errors import Refused, Unreachable, Untrusted
from kubegate.cluster.login import log_in
from kubegate.cluster.shown import shown_chain
from kubegate.errors import KubegateError
from kubegate.model.names import printable
from kubegate.pki.certificate import UNPARSABLE, Certificate, load_bundle, pem_chain, read_certificate
from kubegate.pki.pin import pin_of, pinned
from kubegate.runtime.ca_flags import TOKEN_VARIABLE, Source, Wanted

_CONFIG_MAP = "/api/v1/namespaces/{}/configmaps/kube-root-ca.crt"


@dataclass(frozen=True, slots=True)
class Found:
    """A CA, or several during an exchange, that nobody has confirmed yet. `origin` says where it is from, `shown` what the
    server itself shows (its own certificate first), `remarks` what is to be known about the way that it came.

    `trusted` says that the kubeconfig trusts it already. `pins` are those that were given.
    """

    source: Source
    origin: str
    authorities: tuple[Certificate, ...]
    context: Context
    trusted: bool = False
    pins: tuple[str, ...] = ()
    shown: tuple[Certificate, ...] = ()
    remarks: tuple[str, ...] = ()
    reread: str = field(default="", repr=False)


class NoAuthority(KubegateError):
    """The server shows no CA."""


async def find(wanted: Wanted, environ: Mapping[str, str] = os.environ) -> Found:
    """Look for the CA. Nothing is written, and a credential is sent only to an API server that the kubeconfig verifies.

    Raises InvalidInput, a ClusterError, or NoAuthority.
    """
    ways: Mapping[Source, Callable[[Wanted], Awaitable[Found]]] = {
        Source.KUBECONFIG: _from_kubeconfig,
        Source.CONFIGMAP: partial(_from_config_map, environ=environ),
        Source.CLUSTER_INFO: _from_cluster_info,
        Source.HANDSHAKE: _from_handshake,
    }
    return await ways[wanted.source](wanted)


async def _from_kubeconfig(wanted: Wanted) -> Found:
    context = wanted.context
    bundle = load_bundle(context.ca_pem or b"", context.ca_where)
    return Found(wanted.source, context.ca_where, tuple(bundle), context, trusted=True, pins=wanted.pins)


async def _from_config_map(wanted: Wanted, environ: Mapping[str, str]) -> Found:
    context = wanted.context
    known = load_bundle(context.ca_pem, context.ca_where) if context.ca_pem is not None else []
    good = pinned(known, wanted.pins) if wanted.pins else known
    if known and not good:
        message = f"the CA in {context.ca_where} is not the pinned one ({', '.join(map(pin_of, known))}): no credential was sent"
        raise Untrusted(message, "is it the kubeconfig of that cluster? during an exchange of the CA give both pins")
    # Of several CAs in the kubeconfig only the pinned ones may vouch for who gets the credential.
    verified = replace(context, ca_pem=pem_chain(good)) if good else context
    async with ApiClient(verified, await log_in(context, environ)) as client:
        answer = await client.call("GET", _CONFIG_MAP.format(quote(wanted.namespace, safe="")))
    where = f"the ConfigMap {printable(wanted.namespace)}/kube-root-ca.crt"
    if answer.status != 200:
        said = printable(answer.text("message"))[:300] or f"HTTP status {answer.status}"
        hint = "name a namespace whose ConfigMaps this user may read: --namespace NAME" if answer.status in (403, 404) else ""
        raise Refused(f"the API server refused {where}: {said}", hint, status=answer.status, reason=answer.text("reason"))
    bundle = load_bundle(answer.text("data", "ca.crt").encode(), where)
    trusted = bool(known) and all(any(one.sha256 == other.sha256 for other in known) for one in bundle)
    by = context.ca_where if known else "this machine's CAs"
    remarks = (f"{context.url} gave it, after {by} had verified that server",)
    return Found(wanted.source, where, tuple(bundle), context, trusted, wanted.pins, remarks=remarks)


async def _from_cluster_info(wanted: Wanted) -> Found:
    context = wanted.context
    async with ApiClient(context, unverified=True) as client:
        answer = await client.call("GET", cluster_info.PATH)
    if answer.status != 200:
        raise _no_cluster_info(context, answer.status, answer.text("message"))
    info = cluster_info.read(answer.body)
    if wanted.token is not None:
        info.check(wanted.token)
        remarks = (f"the bootstrap token {wanted.token.id} signed it: who made this has that token",)
    else:
        remarks = (f"no signature was checked: --token-file or ${TOKEN_VARIABLE} gives the bootstrap token for it",)
    bundle = load_bundle(info.authority(), cluster_info.SHOWN)
    origin = f"{cluster_info.SHOWN} of {context.url}, read without a credential"
    return Found(wanted.source, origin, tuple(bundle), context, pins=wanted.pins, remarks=remarks, reread=info.kubeconfig)


def _no_cluster_info(context: Context, status: int, said: str) -> KubegateError:
    others = "take the CA another way: --from kubeconfig, --from configmap, or from the machine where the cluster was made"
    if status in (401, 403):
        message = f"{context.url} shows {cluster_info.SHOWN} to nobody who has no credential (HTTP status {status})"
        return Refused(message, others, status=status)
    if status == 404:
        return Refused(f"{context.url} has no {cluster_info.SHOWN}; kubeadm makes it, others do not", others, status=status)
    told = printable(said)[:300] or f"HTTP status {status}"
    return Unreachable(f"{context.url} was asked for {cluster_info.SHOWN} and said: {told}", "is it an API server?")


async def _from_handshake(wanted: Wanted) -> Found:
    context = wanted.context
    try:
        shown = tuple(map(read_certificate, await shown_chain(context.host, context.port, context.verified_name)))
    except UNPARSABLE:
        message = f"{context.server.endpoint} shows a certificate that cannot be understood"
        raise Untrusted(message, "is it an API server?") from None
    authority = _authority_in(shown)
    if authority is None:
        raise _none_shown(context, shown)
    alone = authority is shown[0]
    remark = "it is self-signed and no CA: whoever trusts it trusts this very certificate, until it is renewed"
    came = "it came in a handshake that nothing has verified: anybody in the middle could have put theirs there"
    remarks = (remark, came) if alone else (came,)
    origin = f"the handshake of {context.server.endpoint}"
    return Found(wanted.source, origin, (authority,), context, pins=wanted.pins, shown=shown, remarks=remarks)


def _authority_in(shown: Sequence[Certificate]) -> Certificate | None:
    """The self-signed end of the chain, None if the server leaves it out. A self-signed certificate is its own end."""
    if shown and shown[0].self_signed:
        return shown[0]
    for before, issuer in pairwise(shown):
        if not (issuer.is_ca and before.is_issued_by(issuer)):
            return None
        if issuer.self_signed:
            return issuer
    return None


def _none_shown(context: Context, shown: Sequence[Certificate]) -> NoAuthority:
    at = context.server.endpoint
    if not shown:
        return NoAuthority(f"{at} shows no certificate", "is it a TLS server?")
    leaf = shown[0]
    what = "its own certificate alone" if len(shown) == 1 else f"{len(shown)} certificates, and the root is not among them"
    lines = [
        f"its certificate: {leaf.subject}, for {', '.join(leaf.names) or 'no name'}, until {leaf.not_after:%Y-%m-%d}",
        f"signed by: {shown[-1].issuer}" if len(shown) == 1 else f"the last one is signed by: {shown[-1].issuer}",
        f"its SHA-256 fingerprint: {leaf.sha256}",
        "an API server sends no CA; take it from where it is: --from kubeconfig, --from configmap (with a kubeconfig),",
        "--from cluster-info (clusters of kubeadm), or /etc/kubernetes/pki/ca.crt on a machine of its control plane",
    ]
    return NoAuthority(f"{at} sends {what}: the CA cannot be had from the handshake", "\n".join(lines))
