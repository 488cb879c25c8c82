"""The client kubeconfig target (`kind: Config`, `v1`): how clients reach a gate."""

import base64

from pydantic import BaseModel, ConfigDict, SecretStr

from kubegate.model.quoted_yaml import Quoted, dump


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
    name = Quoted(access.name)
    cluster = {"server": Quoted(access.url)}
    if access.ca_pem is not None:
        cluster["certificate-authority-data"] = Quoted(base64.b64encode(access.ca_pem).decode())
    if access.tls_server_name is not None:
        cluster["tls-server-name"] = Quoted(access.tls_server_name)
    context = {"cluster": name}
    users: list[dict[str, object]] = []
    if access.token is not None and access.user is not None:
        context["user"] = Quoted(access.user)
        users.append({"name": Quoted(access.user), "user": {"token": Quoted(access.token.get_secret_value())}})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "users": users,
    }
    return dump(document)
