"""What a request has to look like for a signer: the same rules as kube-controller-manager's, which signs nothing else."""

from collections.abc import Collection
from dataclasses import dataclass

from kubegate.bootstrap.signing_request import SigningRequest

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
API_CLIENT = "kubernetes.io/kube-apiserver-client"

NODE_GROUP = "system:nodes"
NODE_PREFIX = "system:node:"

_SIGNATURE, _ENCIPHERMENT = "digital signature", "key encipherment"
_CLIENT, _SERVER = "client auth", "server auth"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with the usages that stand beside it in `spec.usages`."""

    request: SigningRequest
    usages: frozenset[str]


def shape_problems(signer: str, asked: Asked) -> list[str]:
    """Why the signer would not sign it (`SignerValidationFailure`), a clause each; empty if nothing speaks against it.

    The source is `pkg/controller/certificates/signer` and `pkg/apis/certificates/v1/helpers` of Kubernetes 1.37. A signer
    that is not known here has no shape.
    """
    if signer == KUBELET_CLIENT:
        return [*_node_subject(asked.request), *_no_names(asked.request), *_exactly(asked.usages, _CLIENT)]
    if signer == KUBELET_SERVING:
        return [*_node_subject(asked.request), *_server_names(asked.request), *_exactly(asked.usages, _SERVER)]
    if signer == API_CLIENT:
        return _client_usages(asked.usages)
    return []


def is_known(signer: str) -> bool:
    """Whether the shape of its requests is known."""
    return signer in (KUBELET_CLIENT, KUBELET_SERVING, API_CLIENT)


def node_name(common_name: str) -> str:
    """The name of the node that a user is, empty if it is none."""
    return common_name.removeprefix(NODE_PREFIX) if common_name.startswith(NODE_PREFIX) else ""


def _node_subject(request: SigningRequest) -> list[str]:
    problems = []
    if request.organizations != (NODE_GROUP,):
        problems.append(f"its organisation is not exactly {NODE_GROUP}")
    if not request.common_name.startswith(NODE_PREFIX):
        problems.append(f"its common name does not begin with {NODE_PREFIX}")
    return problems


def _no_names(request: SigningRequest) -> list[str]:
    return _none_of(request, ("dns_names", "ip_addresses", "emails", "uris"))


def _server_names(request: SigningRequest) -> list[str]:
    problems = _none_of(request, ("emails", "uris"))
    return problems if request.names else [*problems, "it has neither a DNS name nor an address"]


def _none_of(request: SigningRequest, kinds: Collection[str]) -> list[str]:
    words = {"dns_names": "DNS names", "ip_addresses": "addresses", "emails": "e-mail addresses", "uris": "URIs"}
    return [f"it has {words[kind]}" for kind in kinds if getattr(request, kind)]


def _exactly(usages: frozenset[str], purpose: str) -> list[str]:
    if usages in ({_SIGNATURE, purpose}, {_SIGNATURE, _ENCIPHERMENT, purpose}):
        return []
    return [f"its usages are not exactly {_SIGNATURE}, {purpose} and perhaps {_ENCIPHERMENT}"]


def _client_usages(usages: frozenset[str]) -> list[str]:
    problems = [] if _CLIENT in usages else [f"its usages lack {_CLIENT}"]
    if more := sorted(usages - {_SIGNATURE, _ENCIPHERMENT, _CLIENT}):
        problems.append(f"its usages have {', '.join(more)}")
    return problems
