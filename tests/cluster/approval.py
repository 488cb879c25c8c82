"""Approving the node's serving certificate: what no controller of Kubernetes does."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cluster.api import Api
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Site

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER = "kubernetes.io/kubelet-serving"
USAGES = {"digital signature", "key encipherment", "server auth"}


def approve_serving_certificate(api: Api, site: Site) -> bool:
    """Approves the pending serving request of the site's node; false while there is none."""
    pending = api.json("GET", f"{REQUESTS}?fieldSelector=spec.signerName={SIGNER}")["items"]
    for request in pending:
        if request["status"].get("conditions"):
            continue
        if problem := _problem(request["spec"], site):
            raise ClusterError(f"The serving certificate request {request['metadata']['name']} {problem}.")
        condition = {"type": "Approved", "status": "True", "reason": "TestCluster", "message": "it is the node's own"}
        request["status"]["conditions"] = [condition]
        api.json("PUT", f"{REQUESTS}/{request['metadata']['name']}/approval", request)
        return True
    return False


def _problem(spec: dict[str, Any], site: Site) -> str | None:
    """Why this is not the request of our node for its own name and address."""
    user = f"system:node:{site.node_name}"
    if spec["username"] != user or "system:nodes" not in spec["groups"]:
        return f"is made by {spec['username']}"
    if not {"server auth"} <= set(spec["usages"]) <= USAGES:
        return f"asks for the usages {spec['usages']}"
    request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    subject = {(attribute.oid, attribute.value) for attribute in request.subject}
    if subject != {(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, user)}:
        return f"is for the subject {request.subject.rfc4514_string()}"
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    claimed = {str(name.value) for name in names}
    if not claimed or claimed - {site.node_name, site.node_address}:
        return f"claims the names {sorted(claimed)}"
    return None
