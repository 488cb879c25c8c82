import json
from datetime import UTC, datetime

import pytest

from kubegate.cluster.credential import ExecPlugin
from kubegate.cluster.errors import PluginFailed
from kubegate.cluster.exec_plugin import PluginAnswer, read_answer

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
PLUGIN = ExecPlugin("where", "/opt/login\x1b")


def answer(status: object = None, **changes: object) -> bytes:
    return json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": status} | changes).encode()


def test_a_token() -> None:
    found = read_answer(PLUGIN, answer({"token": "t", "expirationTimestamp": "2030-01-02T03:04:05Z"}))
    assert found == PluginAnswer("t", expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert "'t'" not in repr(found)


def test_a_pair_and_a_token() -> None:
    status = {"token": "t", "clientCertificateData": "c", "clientKeyData": "k", "expirationTimestamp": None}
    assert read_answer(PLUGIN, answer(status)) == PluginAnswer("t", b"c", b"k")


def test_the_older_version() -> None:
    plugin = ExecPlugin("where", "x", api_version=V1BETA1)
    assert read_answer(plugin, answer({"token": "t"}, apiVersion=V1BETA1)).token == "t"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", "not JSON"),
        (b"very-secret", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 99_999, "not JSON"),
        (b"[]", "not an ExecCredential"),
        (answer({"token": "very-secret"}, kind="very-secret"), "not an ExecCredential"),
        (answer({"token": "very-secret"}, apiVersion=V1BETA1), "another API version"),
        (answer(), "no status"),
        (answer([]), "no status"),
        (answer({}), "neither a token nor a certificate"),
        (answer({"token": ""}), "neither a token nor a certificate"),
        (answer({"token": 7}), "a token that is not text"),
        (answer({"clientCertificateData": "very-secret"}), "only one of certificate and key"),
        (answer({"token": "t", "clientKeyData": "very-secret"}), "only one of certificate and key"),
        (answer({"token": "t", "expirationTimestamp": "very-secret"}), "no time"),
        (answer({"token": "t", "expirationTimestamp": "2030-01-02T03:04:05"}), "without a time zone"),
    ],
)
def test_answers_that_are_none(output: bytes, words: str) -> None:
    with pytest.raises(PluginFailed, match=words) as caught:
        read_answer(PLUGIN, output)
    assert "very-secret" not in caught.value.message + caught.value.hint
    assert caught.value.message.startswith("exec plugin login\\x1b: ")
    assert caught.value.__cause__ is None
