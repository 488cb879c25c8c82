"""Objects of accounts and their rights: made, listed and taken away again, with what the API server says when it refuses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubegate.cluster import resources
from kubegate.cluster.client import Answer, ApiClient
from kubegate.cluster.errors import Refused, Unreachable
from kubegate.cluster.resources import list_all
from kubegate.model.names import printable

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CERTIFICATES = "/apis/certificates.k8s.io/v1"

# Kind to the beginning of its path and its plural.
COLLECTIONS = {
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "CertificateSigningRequest": (_CERTIFICATES, "certificatesigningrequests"),
}
NAMESPACED = ("ServiceAccount", "Role", "RoleBinding")


@dataclass(frozen=True, slots=True)
class Ref:
    """An object that is there; `namespace` is empty where it is in none. `uid` tells it from a later one of its name."""

    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        place = f"{printable(self.namespace)}/" if self.namespace else ""
        return f"{self.kind} {place}{printable(self.name)}"

    @property
    def kubectl(self) -> str:
        """The object as kubectl's commands take it."""
        place = f"-n {printable(self.namespace)} " if self.namespace else ""
        return f"{place}{self.kind.lower()} {printable(self.name)}"

    @property
    def path(self) -> str:
        """Its own path."""
        return f"{_collection(self.kind, self.namespace)}/{quote(self.name, safe='')}"


def ref_of(kind: str, body: Mapping[str, Any]) -> Ref:
    """The reference to an object as it was read."""
    metadata = body.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return Ref(kind, *(str(found.get(key) or "") for key in ("namespace", "name", "uid")))


async def create(client: ApiClient, manifest: Mapping[str, Any]) -> Ref:
    """Make an object. Raises Refused, also if there is one of its name already."""
    kind = str(manifest["kind"])
    meant = ref_of(kind, manifest)
    answer = await client.call("POST", _collection(kind, meant.namespace), manifest)
    if answer.status not in (200, 201):
        raise refused(answer, f"to make the {meant}")
    made = ref_of(kind, answer.body)
    if not made.uid:
        raise Unreachable(f"the API server was asked to make the {meant} and gave something else", "is it an API server?")
    return made


async def delete(client: ApiClient, ref: Ref) -> bool:
    """Take this very object away, and no later one of its name; False if it was gone already. Raises Refused."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": ref.uid}}
    answer = await client.call("DELETE", ref.path, options)
    if answer.status == 404:
        return False
    if answer.status not in (200, 202):
        raise refused(answer, f"to delete the {ref}")
    return True


async def listed(client: ApiClient, kind: str, *, namespaces: Sequence[str] = (), selector: str = "") -> list[Mapping[str, Any]]:
    """All objects of a kind that carry the labels of `selector`, in these namespaces (none: in all). Raises Refused."""
    places = list(namespaces) if kind in NAMESPACED and namespaces else [""]
    found: list[Mapping[str, Any]] = []
    for namespace in places:
        what = f"to list {COLLECTIONS[kind][1]}" + (f" in {printable(namespace)}" if namespace else "")
        found += await list_all(client, _collection(kind, namespace), what=what, labelSelector=selector)
    return found


def refused(answer: Answer, what: str) -> Refused:
    """Why the API server refused something about an account, in its own words, and what to do about it."""
    return resources.refused(answer, what, {409: "choose another name, or take the old one away first: kubegate revoke NAME"})


def subjects(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Whom a binding gives its role."""
    found = body.get("subjects")
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def _collection(kind: str, namespace: str) -> str:
    begin, plural = COLLECTIONS[kind]
    return f"{begin}/namespaces/{quote(namespace, safe='')}/{plural}" if namespace else f"{begin}/{plural}"
