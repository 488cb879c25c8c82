import asyncio
import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kubegate.cluster.credential import Impersonation
from kubegate.cluster.login import Login, impersonation_headers, log_in
from kubegate.model.problem import InvalidInput
from tests.support.forge import CLIENT, forge
from tests.unit.cluster.kubeconfigs import Workbench

JANE = forge("jane", usages=[CLIENT])
MISSING = "/none/plugin"
PLUGIN = {"command": MISSING, "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


def coded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def login(bench: Workbench, **user: Any) -> Login:
    bench.good(users=[{"name": "jane", "user": user}])
    return asyncio.run(log_in(bench.load(), {}))


def problems(bench: Workbench, **user: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        login(bench, **user)
    assert "very-secret" not in str(caught.value)
    return [f"{one.where.rpartition('user.')[2]} {one.code.removeprefix('credential.')}" for one in caught.value.problems]


def test_no_credential(bench: Workbench) -> None:
    assert login(bench) == Login()


def test_a_token(bench: Workbench) -> None:
    assert login(bench, token="abc").authorization == "Bearer abc"


def test_a_token_file_wins_over_a_token(bench: Workbench) -> None:
    path = bench.write("from-file\n", "token")
    assert login(bench, token="abc", tokenFile="token").authorization == "Bearer from-file"
    path.write_text(" \n")
    assert login(bench, token="abc", tokenFile="token").authorization == "Bearer abc"
    path.unlink()
    assert login(bench, token="abc", tokenFile="token").authorization == "Bearer abc"


def test_token_files_without_a_token(bench: Workbench) -> None:
    assert problems(bench, tokenFile="none") == ["tokenFile unreadable"]
    bench.write("", "token")
    assert problems(bench, tokenFile="token") == ["tokenFile empty"]
    bench.write(b"\xff\xfe", "token")
    assert problems(bench, tokenFile="token") == ["tokenFile token"]


@pytest.mark.parametrize("token", ["very-secret x", "very-secret\nX-Header: y", "very-secret\u00e4", "very-secret\x00"])
def test_tokens_that_cannot_be_sent(bench: Workbench, token: str) -> None:
    assert problems(bench, token=token) == ["token token"]


def test_a_password(bench: Workbench) -> None:
    found = login(bench, username="jäne", password="p:w").authorization
    assert base64.b64decode(found.removeprefix("Basic ")).decode() == "jäne:p:w"
    assert problems(bench, username="a:b", password="very-secret") == ["username username"]


def test_a_client_certificate(bench: Workbench) -> None:
    bench.write(JANE.pem, "jane.crt")
    found = login(bench, **{"client-certificate": "jane.crt", "client-key-data": coded(JANE.key_pem), "token": "abc"})
    assert (found.certificate_pem, found.key_pem) == (JANE.pem, JANE.key_pem)
    assert found.authorization == "Bearer abc"
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("certificate", "key", "expected"),
    [
        (JANE.pem, forge("x").key_pem, ["client-key-data mismatch"]),
        (JANE.pem, JANE.locked(b"very-secret"), ["client-key-data encrypted"]),
        (JANE.pem, JANE.pem, ["client-key-data key"]),
        (JANE.key_pem, JANE.key_pem, ["client-certificate-data certificate"]),
        (b"very-secret", b"very-secret", ["client-certificate-data certificate", "client-key-data key"]),
    ],
)
def test_pairs_that_cannot_be_used(bench: Workbench, certificate: bytes, key: bytes, expected: list[str]) -> None:
    pair = {"client-certificate-data": coded(certificate), "client-key-data": coded(key)}
    assert problems(bench, **pair) == expected


def test_an_expired_client_certificate(bench: Workbench) -> None:
    old = forge("old", since=timedelta(days=3), until=-timedelta(days=1))
    pair = {"client-certificate-data": coded(old.pem), "client-key-data": coded(old.key_pem)}
    assert problems(bench, **pair) == ["client-certificate-data expired"]


def test_files_that_are_missing_are_told_all(bench: Workbench) -> None:
    found = problems(bench, **{"client-certificate": "c", "client-key": "k", "tokenFile": "t"})
    assert found == ["tokenFile unreadable", "client-certificate unreadable", "client-key unreadable"]


@pytest.mark.parametrize("user", [{"token": "abc"}, {"username": "u", "password": "p"}])
def test_plugins_are_not_asked_beside_another_credential(bench: Workbench, user: dict[str, str]) -> None:
    assert login(bench, exec=PLUGIN, **user).authorization


@pytest.mark.parametrize(("name", "hint"), [("gcp", "gke-gcloud-auth-plugin"), ("x", "exec plugin")])
def test_auth_providers_name_what_replaces_them(bench: Workbench, name: str, hint: str) -> None:
    bench.good(users=[{"name": "jane", "user": {"auth-provider": {"name": name}}}])
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(log_in(bench.load(), {}))
    (problem,) = caught.value.problems
    assert problem.code == "credential.auth-provider"
    assert hint in problem.hint


def test_without_tls_nothing_is_read(bench: Workbench) -> None:
    bench.good(cluster={"server": "http://api.test"}, user={"tokenFile": "/none", "as": "joe"})
    assert asyncio.run(log_in(bench.load(), {})) == Login(impersonation=(("Impersonate-User", "joe"),))


def test_impersonation_headers() -> None:
    who = Impersonation("joe", "7", ("a", "b"), (("Foo/Bar%", ("x", "y")), ("plain", ("z",))))
    assert impersonation_headers(who) == (
        ("Impersonate-User", "joe"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-Foo%2FBar%25", "x"),
        ("Impersonate-Extra-Foo%2FBar%25", "y"),
        ("Impersonate-Extra-plain", "z"),
    )
    assert impersonation_headers(None) == ()


def test_paths_do_not_depend_on_where_one_stands(bench: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench.write("abc", "token")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert login(bench, tokenFile="token").authorization == "Bearer abc"
