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
from tests.cluster.layout import API_URLS, ETC, KUBECONFIGS, PKI
from tests.cluster.pki import Leaf

TOKEN_FILE = ETC / "tokens.csv"
BOOTSTRAP_FILE = ETC / "bootstrap-token"
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


def prepare() -> None:
    """The token file and the node's bootstrap token, before the API server starts."""
    with TOKEN_FILE.open("w", newline="") as file:
        TOKEN_FILE.chmod(0o600)
        csv.writer(file).writerows([secrets.token_hex(16), name, f"uid-{name}", group] for name, group in GROUPS.items())
    BOOTSTRAP_FILE.touch(mode=0o600)
    BOOTSTRAP_FILE.write_text(f"{secrets.token_hex(3)}.{secrets.token_hex(8)}")


def accounts() -> dict[str, Account]:
    """All accounts by name, read back from the files."""
    admin = Leaf(PKI / "admin.crt", PKI / "admin.key")
    found = {"admin": Account("admin", ("system:masters",), KUBECONFIGS / "admin.yaml", client=admin)}
    with TOKEN_FILE.open(newline="") as file:
        for token, name, _, group in csv.reader(file):
            found[name] = Account(name, (group,), KUBECONFIGS / f"{name}.yaml", token=token)
    return found


def bootstrap_token() -> str:
    return BOOTSTRAP_FILE.read_text()


def write_kubeconfig(
    path: Path,
    *,
    token: str | None = None,
    client: Leaf | None = None,
    server: str = API_URLS[0],
    ca: Path | None = None,
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
                "cluster": {"server": server, "certificate-authority-data": _encoded(ca or PKI / "ca.crt")},
            }
        ],
        "users": [{"name": path.stem, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": path.stem}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def write_kubeconfigs() -> None:
    KUBECONFIGS.mkdir(exist_ok=True)
    for account in accounts().values():
        write_kubeconfig(account.kubeconfig, token=account.token, client=account.client)
    write_kubeconfig(KUBECONFIGS / "bootstrap.yaml", token=bootstrap_token())
    for name in ("controller-manager", "scheduler", "kube-proxy"):
        write_kubeconfig(KUBECONFIGS / f"{name}.yaml", client=Leaf(PKI / f"{name}.crt", PKI / f"{name}.key"))


def create_objects(api: Api) -> None:
    """Namespaces, bindings and the bootstrap token, as `objects.yaml` and the files above say."""
    token_id, _, token_secret = bootstrap_token().partition(".")
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


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
