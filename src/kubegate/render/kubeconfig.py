"""The client kubeconfig target (`kind: Config`, `v1`): how clients reach a gate."""

import base64

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr

from kubegate.model.quoted_yaml import Quoted, dump


class ClientAccess(BaseModel):
    """What a client needs: `ca_pem` None means the system's CAs. Without `token` and without `certificate_pem` (with its
    `key_pem`) it brings its own credential.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    ca_pem: bytes | None
    tls_server_name: str | None = None
    user: str | None = None
    token: SecretStr | None = None
    certificate_pem: bytes | None = None
    key_pem: SecretBytes | None = None
    namespace: str | None = None


def render(access: ClientAccess) -> str:
    """The file's text. Without a credential it names no user, for an empty one would only look usable."""
    name = Quoted(access.name)
    cluster = {"server": Quoted(access.url)}
    if access.ca_pem is not None:
        cluster["certificate-authority-data"] = Quoted(base64.b64encode(access.ca_pem).decode())
    if access.tls_server_name is not None:
        cluster["tls-server-name"] = Quoted(access.tls_server_name)
    context = {"cluster": name}
    if access.namespace is not None:
        context["namespace"] = Quoted(access.namespace)
    users: list[dict[str, object]] = []
    credential = _credential(access)
    if credential and access.user is not None:
        context["user"] = Quoted(access.user)
        users.append({"name": Quoted(access.user), "user": credential})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "users": users,
    }
    return dump(document)


def _credential(access: ClientAccess) -> dict[str, Quoted]:
    if access.token is not None:
        return {"token": Quoted(access.token.get_secret_value())}
    if access.certificate_pem is None or access.key_pem is None:
        return {}
    pair = {"client-certificate-data": access.certificate_pem, "client-key-data": access.key_pem.get_secret_value()}
    return {key: Quoted(base64.b64encode(pem).decode()) for key, pem in pair.items()}
