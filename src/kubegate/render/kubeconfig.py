"""The client kubeconfig target (`kind: Config`, `v1`): how clients reach a gate."""

import base64
import sys

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


class _Text(str):
    """A value that stays text for every reader."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Quotes values: kubectl would read a plain `12e3` as a number and a plain `y` as true."""

    def represent_text(self, value: _Text) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


_Dumper.add_representer(_Text, _Dumper.represent_text)


def render(access: ClientAccess) -> str:
    """The file's text. Without a token it names no user, for an empty one would only look usable."""
    name = _Text(access.name)
    cluster = {"server": _Text(access.url)}
    if access.ca_pem is not None:
        cluster["certificate-authority-data"] = _Text(base64.b64encode(access.ca_pem).decode())
    if access.tls_server_name is not None:
        cluster["tls-server-name"] = _Text(access.tls_server_name)
    context = {"cluster": name}
    users: list[dict[str, object]] = []
    if access.token is not None and access.user is not None:
        context["user"] = _Text(access.user)
        users.append({"name": _Text(access.user), "user": {"token": _Text(access.token.get_secret_value())}})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "users": users,
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=sys.maxsize)
