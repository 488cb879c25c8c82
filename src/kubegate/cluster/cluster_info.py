"""The ConfigMap `kube-public/cluster-info`, which whoever joins a cluster may read without a credential.

It holds a kubeconfig with the cluster's CA, and for each bootstrap token a signature over it (KEP-130): a JWS with detached
payload (RFC 7515, appendix F), HS256, whose key id is the token's id. Its key is the token's secret, the part after the dot:
so do the bootstrap signer and kubeadm (k8s.io/cluster-bootstrap/token/jws), though the documentation says the whole token.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubegate.cluster.authority import certificates_only
from kubegate.cluster.document import yaml_documents
from kubegate.cluster.errors import Unreachable, Untrusted
from kubegate.model.names import printable

PATH = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
SHOWN = "kube-public/cluster-info"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_SIGNATURE = "jws-kubeconfig-"


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """A bootstrap token, ID.SECRET."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What the ConfigMap says: a kubeconfig as text, and signatures by token id."""

    kubeconfig: str = field(repr=False)
    signatures: Mapping[str, str] = field(repr=False)

    def authority(self) -> bytes:
        """The CA of its first cluster, as PEM. Raises InvalidInput or Unreachable if there is none."""
        document = next(yaml_documents(self.kubeconfig.encode(), SHOWN), None)
        clusters = document.get("clusters") if isinstance(document, dict) else None
        entry = clusters[0].get("cluster") if isinstance(clusters, list) and clusters and isinstance(clusters[0], dict) else None
        text = entry.get("certificate-authority-data") if isinstance(entry, dict) else None
        try:
            pem = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            pem = b""
        if not pem:
            raise Unreachable(f"the kubeconfig in {SHOWN} has no CA", "take the CA another way: --from kubeconfig or configmap")
        return certificates_only(pem, SHOWN)

    def check(self, token: BootstrapToken) -> None:
        """Raises Untrusted unless the token signed it."""
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import OctKey

        signature = self.signatures.get(token.id)
        if signature is None:
            known = ", ".join(printable(one) for one in sorted(self.signatures)) or "no token at all"
            message = f"{SHOWN} is not signed by the bootstrap token {token.id}, but by {known}"
            raise Untrusted(message, "the token may have expired: make one with `kubeadm token create`, and wait a moment")
        head, _, rest = signature.partition(".")
        payload, _, proof = rest.partition(".")
        whole = f"{head}.{base64.urlsafe_b64encode(self.kubeconfig.encode()).decode().rstrip('=')}.{proof}"
        try:
            if payload:
                raise ValueError("the payload is not detached")
            found = jws.deserialize_compact(whole, OctKey.import_key(token.secret), algorithms=["HS256"])
            if found.headers().get("kid") != token.id:
                raise ValueError("another key id")
        except (JoseError, ValueError):
            message = f"the signature of {SHOWN} was not made with the bootstrap token {token.id}: somebody changed it on the way"
            raise Untrusted(
                message, "nothing of it was believed; is the token right? if so, do not use this connection"
            ) from None


def read(body: Mapping[str, object]) -> ClusterInfo:
    """The ConfigMap out of an answer. Raises Unreachable if it is none."""
    data = body.get("data")
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    if "kubeconfig" not in texts:
        raise Unreachable(f"{SHOWN} holds no kubeconfig", "is it the ConfigMap that kubeadm makes?")
    signatures = {key.removeprefix(_SIGNATURE): value for key, value in texts.items() if key.startswith(_SIGNATURE)}
    return ClusterInfo(texts["kubeconfig"], signatures)


def parse_token(text: str) -> BootstrapToken:
    """A bootstrap token. Raises ValueError; what it was given is not repeated."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is no bootstrap token, which looks like abcdef.0123456789abcdef")
    return BootstrapToken(found[1], found[2])
