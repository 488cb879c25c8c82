"""Who may enter: the accounts, their tokens and kubeconfig files, and the objects that give them their rights."""

from __future__ import annotations

import base64
import csv
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.api import Api, ApiError
from tests.cluster.layout import Site
from tests.cluster.pki import Leaf

NODE_BOOTSTRAP_GROUP = "system:bootstrappers:auto-approved"

GROUPS = {"admin-token": "cluster-admins", "developer": "developers", "viewer": "viewers"}

_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


@dataclass(frozen=True)
class Account:
    """A way in: a bearer token or a client certificate, and a kubeconfig file that uses it."""

    name: str
    groups: tuple[str, ...]
    kubeconfig: Path
    token: str | None = None
    client: Leaf | None = None


def token_file(site: Site) -> Path:
    """What the API servers know of the tokens."""
    return site.etc / "tokens.csv"


def prepare(site: Site) -> None:
    """The token file and the node's bootstrap token, before the API server starts."""
    with token_file(site).open("w", newline="") as file:
        token_file(site).chmod(0o600)
        csv.writer(file).writerows([secrets.token_hex(16), name, f"uid-{name}", group] for name, group in GROUPS.items())
    _bootstrap_file(site).touch(mode=0o600)
    _bootstrap_file(site).write_text(f"{secrets.token_hex(3)}.{secrets.token_hex(8)}")


def accounts(site: Site) -> dict[str, Account]:
    """All accounts by name, read back from the files."""
    admin = Leaf.at(site.pki / "admin")
    found = {"admin": Account("admin", ("system:masters",), site.kubeconfigs / "admin.yaml", client=admin)}
    with token_file(site).open(newline="") as file:
        for token, name, _, group in csv.reader(file):
            found[name] = Account(name, (group,), site.kubeconfigs / f"{name}.yaml", token=token)
    return found


def bootstrap_token(site: Site) -> str:
    return _bootstrap_file(site).read_text()


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    ca: Path,
    token: str | None = None,
    client: Leaf | None = None,
) -> Path:
    """A self-contained kubeconfig file, readable by its owner only."""
    user: dict[str, str] = {}
    if token:
        user["token"] = token
    if client:
        user["client-certificate-data"] = _encoded(client.certificate)
        user["client-key-data"] = _encoded(client.key)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "test",
                "cluster": {"server": server, "certificate-authority-data": _encoded(ca)},
            }
        ],
        "users": [{"name": path.stem, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": path.stem}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def write_kubeconfigs(site: Site) -> None:
    site.kubeconfigs.mkdir(exist_ok=True)
    server, ca = site.api_url(0), site.pki / "ca.crt"
    for account in accounts(site).values():
        write_kubeconfig(account.kubeconfig, server=server, ca=ca, token=account.token, client=account.client)
    write_kubeconfig(site.kubeconfigs / "bootstrap.yaml", server=server, ca=ca, token=bootstrap_token(site))
    for name in ("controller-manager", "scheduler", "kube-proxy"):
        write_kubeconfig(site.kubeconfigs / f"{name}.yaml", server=server, ca=ca, client=Leaf.at(site.pki / name))


def create_objects(api: Api, site: Site) -> None:
    """Namespaces, bindings and the bootstrap token, as `objects.yaml` and the files above say."""
    token_id, _, token_secret = bootstrap_token(site).partition(".")
    objects: list[dict[str, Any]] = [
        *yaml.safe_load_all((Path(__file__).parent / "objects.yaml").read_text()),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
            "stringData": {
                "token-id": token_id,
                "token-secret": token_secret,
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "true",
                "auth-extra-groups": NODE_BOOTSTRAP_GROUP,
            },
        },
    ]
    for item in objects:
        path = _COLLECTIONS[item["kind"]].format(item["metadata"].get("namespace"))
        try:
            api.json("POST", path, item)
        except ApiError as error:
            if error.status != 409:
                raise


def _bootstrap_file(site: Site) -> Path:
    return site.etc / "bootstrap-token"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
