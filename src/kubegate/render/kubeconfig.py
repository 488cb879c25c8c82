"""The client kubeconfig target (`kind: Config`, `v1`): how clients reach a gate."""

import base64
import sys

import yaml
from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr


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


class _Text(str):
    """A value that stays text for every reader."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Quotes values: kubectl would read a plain `12e3` as a number and a plain `y` as true."""

    def represent_text(self, value: _Text) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


_Dumper.add_representer(_Text, _Dumper.represent_text)


def render(access: ClientAccess) -> str:
    """The file's text. Without a credential it names no user, for an empty one would only look usable."""
    name = _Text(access.name)
    cluster = {"server": _Text(access.url)}
    if access.ca_pem is not None:
        cluster["certificate-authority-data"] = _Text(base64.b64encode(access.ca_pem).decode())
    if access.tls_server_name is not None:
        cluster["tls-server-name"] = _Text(access.tls_server_name)
    context = {"cluster": name}
    if access.namespace is not None:
        context["namespace"] = _Text(access.namespace)
    users: list[dict[str, object]] = []
    credential = _credential(access)
    if credential and access.user is not None:
        context["user"] = _Text(access.user)
        users.append({"name": _Text(access.user), "user": credential})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "users": users,
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=sys.maxsize)


def _credential(access: ClientAccess) -> dict[str, _Text]:
    if access.token is not None:
        return {"token": _Text(access.token.get_secret_value())}
    if access.certificate_pem is None or access.key_pem is None:
        return {}
    pair = {"client-certificate-data": access.certificate_pem, "client-key-data": access.key_pem.get_secret_value()}
    return {key: _Text(base64.b64encode(pem).decode()) for key, pem in pair.items()}
