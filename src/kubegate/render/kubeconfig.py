"""The client kubeconfig target (`kind: Config`, `v1`): how clients reach a gate."""

import base64

import yaml
from pydantic import BaseModel, ConfigDict, SecretStr


class ClientAccess(BaseModel):
    """What a client needs: `ca_pem` None means the system's CAs, `token` None means that it brings its own credential."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    ca_pem: bytes | None
    tls_server_name: str | None = None
    user: str | None = None
    token: SecretStr | None = None


def render(access: ClientAccess) -> str:
    """The file's text. Without a token it names no user, for an empty one would only look usable."""
    cluster: dict[str, str] = {"server": access.url}
    if access.ca_pem is not None:
        cluster["certificate-authority-data"] = base64.b64encode(access.ca_pem).decode()
    if access.tls_server_name is not None:
        cluster["tls-server-name"] = access.tls_server_name
    context = {"cluster": access.name}
    users: list[dict[str, object]] = []
    if access.token is not None and access.user is not None:
        context["user"] = access.user
        users.append({"name": access.user, "user": {"token": access.token.get_secret_value()}})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": access.name,
        "clusters": [{"name": access.name, "cluster": cluster}],
        "contexts": [{"name": access.name, "context": context}],
        "users": users,
    }
    return yaml.safe_dump(document, sort_keys=False)
