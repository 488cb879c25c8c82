"""Kubeconfigs for an engine that runs a rendered set in front of the first cluster."""

import base64
from pathlib import Path

import yaml

from tests.cluster.accounts import Account
from tests.e2e.declared import FIRST_HOST
from tests.support.tls import front_authority


def kubeconfig(path: Path, port: int, account: Account) -> Path:
    """A client's kubeconfig: the engine's address, the name that it is verified by, and the account's token."""
    entry = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": base64.b64encode(front_authority().pem).decode(),
        "tls-server-name": FIRST_HOST,
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "first",
        "clusters": [{"name": "first", "cluster": entry}],
        "contexts": [{"name": "first", "context": {"cluster": "first", "user": account.name}}],
        "users": [{"name": account.name, "user": {"token": account.token}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return path
