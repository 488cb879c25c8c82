"""Client kubeconfigs: what stands in them, and that every value stays the text that it is."""

import base64

import pytest
import yaml
from pydantic import SecretStr

from kubegate.render.kubeconfig import ClientAccess, render


def test_with_a_token() -> None:
    access = ClientAccess(
        name="kubegate-lab",
        url="https://gate.example:6443",
        ca_pem=b"pem" * 100,
        tls_server_name="other.example",
        user="dev/robot",
        token=SecretStr("t0ken"),
    )
    assert yaml.safe_load(render(access)) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kubegate-lab",
        "clusters": [
            {
                "name": "kubegate-lab",
                "cluster": {
                    "server": "https://gate.example:6443",
                    "certificate-authority-data": base64.b64encode(b"pem" * 100).decode(),
                    "tls-server-name": "other.example",
                },
            }
        ],
        "contexts": [{"name": "kubegate-lab", "context": {"cluster": "kubegate-lab", "user": "dev/robot"}}],
        "users": [{"name": "dev/robot", "user": {"token": "t0ken"}}],
    }
    assert "t0ken" not in repr(access)


def test_without_a_token_there_is_no_user_and_without_a_ca_none() -> None:
    document = yaml.safe_load(render(ClientAccess(name="x", url="https://gate", ca_pem=None, user="dev/robot")))
    assert document["users"] == []
    assert document["contexts"] == [{"name": "x", "context": {"cluster": "x"}}]
    assert document["clusters"] == [{"name": "x", "cluster": {"server": "https://gate"}}]


@pytest.mark.parametrize("token", ["12e3", "y", "no", "0x1f", "null", "1_000", "2026-11-22", 'a"b', "x" * 3000])
def test_a_value_stays_text(token: str) -> None:
    text = render(ClientAccess(name="x", url="https://gate", ca_pem=None, user="u", token=SecretStr(token)))
    assert yaml.safe_load(text)["users"][0]["user"]["token"] == token
    # Readers of other YAML versions take plain words for numbers and booleans.
    assert 'token: "' in text
