"""A client certificate of the cluster's own CA, by the certificates API (certificates.k8s.io/v1): asked for, approved, issued."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

from kubegate.cluster.client import ApiClient
from kubegate.cluster.errors import Refused, Unreachable
from kubegate.cluster.objects import Ref, create, refused
from kubegate.model.names import printable

SIGNER = "kubernetes.io/kube-apiserver-client"
_ISSUE_SECONDS = 30.0
_PAUSE_SECONDS = 0.3


def request_manifest(name: str, labels: Mapping[str, str], request_pem: bytes, seconds: int) -> dict[str, Any]:
    """The object that asks for a certificate for this many seconds; the signer may give fewer."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "request": base64.b64encode(request_pem).decode(),
            "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
            "expirationSeconds": seconds,
        },
    }


async def ask(client: ApiClient, manifest: Mapping[str, Any]) -> Ref:
    """Ask for it. Raises Refused."""
    return await create(client, manifest)


async def approve(client: ApiClient, ref: Ref) -> None:
    """Approve a request, as this user. Raises Refused, with the rights that it takes."""
    answer = await client.call("GET", ref.path)
    if answer.status != 200:
        raise refused(answer, f"to show the {ref}")
    body = dict(answer.body)
    status = body.get("status")
    old = status.get("conditions") if isinstance(status, dict) else None
    condition = {"type": "Approved", "status": "True", "reason": "KubegateGrant", "message": "approved by kubegate grant"}
    body["status"] = {"conditions": [*(old if isinstance(old, list) else []), condition]}
    answer = await client.call("PUT", f"{ref.path}/approval", body)
    if answer.status not in (200, 201):
        error = refused(answer, f"to approve the {ref}")
        hint = (
            "its user needs the verb update on certificatesigningrequests/approval, and approve on the signer "
            f"{SIGNER}; or grant a token instead of a certificate"
        )
        raise Refused(error.message, hint, status=error.status, reason=error.reason)


async def issued(client: ApiClient, ref: Ref) -> bytes:
    """The certificate (PEM), once the controller manager has signed it. Raises Unreachable if it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ISSUE_SECONDS
    while loop.time() < deadline:
        answer = await client.call("GET", ref.path)
        if answer.status != 200:
            raise refused(answer, f"to show the {ref}")
        if encoded := answer.text("status", "certificate"):
            return _decoded(encoded, ref)
        if why := _failure(answer.body):
            raise Unreachable(f"the {ref} was not signed: {why}", "grant a token instead of a certificate")
        await asyncio.sleep(_PAUSE_SECONDS)
    message = f"nobody signed the {ref} within {_ISSUE_SECONDS:.0f} seconds, though it is approved"
    raise Unreachable(message, f"does kube-controller-manager sign for {SIGNER}? managed clusters may not; grant a token instead")


def _decoded(encoded: str, ref: Ref) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Unreachable(f"the {ref} holds something that is no certificate", "is it an API server?") from None


def _failure(body: Mapping[str, Any]) -> str:
    status = body.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for one in conditions if isinstance(conditions, list) else ():
        if isinstance(one, dict) and one.get("type") in ("Failed", "Denied"):
            return printable(f"{one.get('type')}: {one.get('message') or one.get('reason') or ''}")
    return ""
