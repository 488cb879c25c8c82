from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kubegate.cluster.credential import Credential, ExecPlugin, Impersonation, Pem
from kubegate.cluster.document import Entry
from kubegate.cluster.user import read_user
from kubegate.model.problem import Problem
from tests.support.forge import CLIENT, forge

JANE = forge("jane", organizations=["system:masters", "evil\x1b"], usages=[CLIENT])
PLUGIN = {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


def read(body: dict[object, object], folder: Path = Path("/home/jane/.kube")) -> tuple[Credential, list[str]]:
    problems: list[Problem] = []
    credential = read_user(Entry("jane", body, folder / "config", "FILE: user"), problems)
    return credential, [f"{p.where.removeprefix('FILE: user.')} {p.code.removeprefix('kubeconfig.')}" for p in problems]


def test_nothing() -> None:
    credential, problems = read({})
    assert problems == []
    assert not credential.has_secret
    assert not credential.uses_client_certificate
    assert credential.describe() == "no credential"


def test_everything_is_read() -> None:
    credential, problems = read(
        {
            "tokenFile": "token",
            "client-certificate-data": "QUFB",
            "client-key": "/keys/jane.key",
            "exec": {
                **PLUGIN,
                "command": "./bin/login",
                "args": ["--secret"],
                "env": [{"name": "A", "value": "b"}],
                "installHint": "get it",
                "provideClusterInfo": True,
            },
            "as": "joe",
            "as-uid": "7",
            "as-groups": ["a", "b"],
            "as-user-extra": {"Foo/Bar": ["x", "y"]},
        }
    )
    folder = Path("/home/jane/.kube")
    assert problems == []
    assert credential.token_file == folder / "token"
    assert credential.certificate == Pem("FILE: user.client-certificate-data", data=b"AAA")
    assert credential.key == Pem("FILE: user.client-key", path=Path("/keys/jane.key"))
    assert credential.exec_plugin == ExecPlugin(
        where="FILE: user.exec",
        command=str(folder / "bin/login"),
        arguments=("--secret",),
        environment=(("A", "b"),),
        install_hint="get it",
        provide_cluster_info=True,
        interactive_mode="Never",
    )
    assert credential.impersonation == Impersonation("joe", "7", ("a", "b"), (("Foo/Bar", ("x", "y")),))


def test_a_plain_command_is_left_to_path() -> None:
    credential, _ = read({"exec": PLUGIN})
    assert credential.exec_plugin is not None
    assert credential.exec_plugin.command == "aws"


def test_only_v1_asks_for_the_interactive_mode() -> None:
    version = "client.authentication.k8s.io/v1beta1"
    credential, problems = read({"exec": {"command": "x", "apiVersion": version}})
    assert problems == []
    assert credential.exec_plugin is not None
    assert credential.exec_plugin.interactive_mode == "IfAvailable"
    assert read({"exec": {"command": "x", "apiVersion": PLUGIN["apiVersion"]}})[1] == ["exec.interactiveMode exec"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"token": "t", "username": "u"}, ["token user.several"]),
        ({"token": "t", "password": "p"}, ["token user.several"]),
        ({"tokenFile": "t", "username": "u"}, ["tokenFile user.several"]),
        ({"client-certificate": "c"}, ["client-key user.key"]),
        ({"client-certificate": "c", "client-certificate-data": "QUFB", "client-key": "k"}, ["client-certificate user.both"]),
        ({"client-certificate": "c", "client-key": "k", "client-key-data": "QUFB"}, ["client-key user.both"]),
        ({"client-certificate-data": "!", "client-key": "k"}, ["client-certificate-data base64"]),
        ({"exec": {}}, ["exec.command exec", "exec.apiVersion exec", "exec.interactiveMode exec"]),
        ({"exec": {**PLUGIN, "interactiveMode": "Sometimes"}}, ["exec.interactiveMode exec"]),
        ({"exec": {**PLUGIN, "env": [{"value": "x"}, {"name": "a=b"}]}}, ["exec.env[0].name exec", "exec.env[1].name exec"]),
        ({"exec": {**PLUGIN, "args": ["a\0"]}}, ["exec.args exec"]),
        ({"exec": {**PLUGIN, "args": [1]}}, ["exec.args type"]),
        ({"exec": {**PLUGIN, "env": {"a": "b"}}}, ["exec.env type"]),
        ({"exec": "aws"}, ["exec type"]),
        ({"exec": PLUGIN, "auth-provider": {"name": "gcp"}}, ["auth-provider user.several"]),
        ({"as-groups": ["a"]}, ["as user.impersonation"]),
        ({"as-uid": "1"}, ["as user.impersonation"]),
        ({"as-user-extra": {"a": ["b"]}}, ["as user.impersonation"]),
        ({"as": "a\nb"}, ["as user.impersonation"]),
        ({"as": "a", "as-user-extra": {"k": "v"}}, ["as-user-extra.k type"]),
        ({"token": 12345}, ["token type"]),
        ({"token": ["a"], "username": True, "tokenFile": {}}, ["token type", "tokenFile type", "username type"]),
    ],
)
def test_what_kubectl_would_refuse(body: dict[object, object], expected: list[str]) -> None:
    assert read(body)[1] == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"token": "very-secret"}, "bearer token"),
        ({"token": "very-secret", "tokenFile": "/var/token"}, "bearer token from /var/token"),
        ({"username": "joe\x1b", "password": "very-secret"}, "user name joe\\x1b and password"),
        ({"exec": {**PLUGIN, "command": "/opt/bin/aws"}}, "exec plugin aws"),
        ({"exec": PLUGIN, "token": "very-secret"}, "bearer token"),
        ({"auth-provider": {"name": "gcp", "config": {"access-token": "very-secret"}}}, "auth provider gcp"),
        ({"auth-provider": {}}, "auth provider without a name"),
        ({"token": "very-secret", "as": "joe"}, "bearer token, impersonating joe"),
        ({"client-certificate": "/none", "client-key": "/none"}, "client certificate (which cannot be read)"),
    ],
)
def test_descriptions(body: dict[object, object], text: str) -> None:
    credential, problems = read(body)
    assert problems == []
    assert credential.describe() == text
    assert "very-secret" not in repr(credential)


def test_a_client_certificate_is_described_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "jane.crt"
    path.write_bytes(JANE.pem)
    credential, _ = read({"client-certificate": str(path), "client-key": "k", "token": "x"})
    assert credential.uses_client_certificate
    assert credential.describe() == "client certificate CN=jane, O=system:masters, O=evil\\x1b and bearer token"


def test_what_is_left_without_tls() -> None:
    credential, _ = read({"token": "t", "client-certificate": "c", "client-key": "k", "exec": PLUGIN, "as": "joe"})
    plain = credential.over_plain_http()
    assert not plain.has_secret
    assert not plain.uses_client_certificate
    assert plain.exec_plugin is None
    assert plain.impersonation == Impersonation("joe")


@pytest.mark.parametrize("part", ["arguments", "environment"])
def test_plugins_hide_what_they_are_given(part: str) -> None:
    make: dict[str, Callable[[], ExecPlugin]] = {
        "arguments": lambda: ExecPlugin("w", "c", arguments=("very-secret",)),
        "environment": lambda: ExecPlugin("w", "c", environment=(("A", "very-secret"),)),
    }
    assert "very-secret" not in repr(make[part]())


def test_expired_certificates_are_described_all_the_same() -> None:
    old = forge("old", until=-timedelta(hours=1))
    assert Credential(certificate=Pem("w", data=old.pem)).describe() == "client certificate CN=old"
