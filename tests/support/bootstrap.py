"""The ConfigMap `kube-public/cluster-info` as kubeadm and the bootstrap signer make it."""

import base64
import hashlib
import hmac
import json
from typing import Any

import yaml

TOKEN = "abcdef.0123456789abcdef"


def signature(kubeconfig: str, token: str = TOKEN, key: str = "", **head: str) -> str:
    """A JWS (RFC 7515) with detached payload, made by hand: HS256 with the token's secret, whose id is the key id."""
    kid, _, secret = token.partition(".")
    header = _encoded(json.dumps({"alg": "HS256", "kid": kid} | head).encode())
    signed = f"{header}.{_encoded(kubeconfig.encode())}".encode()
    return f"{header}..{_encoded(hmac.digest((key or secret).encode(), signed, hashlib.sha256))}"


def kubeconfig_of(ca: bytes, server: str = "https://10.0.0.1:6443") -> str:
    """What stands in it."""
    entry = {"certificate-authority-data": base64.b64encode(ca).decode(), "server": server}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": entry}]})


def config_map(ca: bytes, *tokens: str, **changes: str) -> dict[str, Any]:
    """The whole ConfigMap, signed by these tokens; `changes` replace what it holds."""
    text = kubeconfig_of(ca)
    signatures = {f"jws-kubeconfig-{token.partition('.')[0]}": signature(text, token) for token in tokens}
    data = {"kubeconfig": text} | signatures | {key.replace("_", "-"): value for key, value in changes.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info"}, "data": data}


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
