"""Flags over a kubeconfig: which one wins, what it clears, and where its mistakes are said to be."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubegate.cluster import in_cluster
from kubegate.cluster.context import Context
from kubegate.cluster.credential import Impersonation
from kubegate.cluster.kubeconfig import Chosen, load
from kubegate.cluster.overrides import Overrides
from kubegate.model.problem import InvalidInput
from tests.support.forge import forge
from tests.unit.cluster.kubeconfigs import GOOD, Workbench

CA = forge("ca", ca=True)


def flagged(bench: Workbench, overrides: Overrides, **changes: Any) -> Context:
    return load(bench.good(**changes), None, {}, overrides=overrides)


def problems(bench: Workbench, overrides: Overrides, **changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        flagged(bench, overrides, **changes)
    return [(problem.where.replace(f"{bench.folder}/", ""), problem.code) for problem in caught.value.problems]


def test_server_takes_the_name_along(bench: Workbench) -> None:
    declared = {"tls-server-name": "inside", "certificate-authority-data": _data(CA.pem)}
    context = flagged(bench, Overrides(server="https://other.test"), cluster=declared)
    assert (context.url, context.tls_server_name, context.ca_pem) == ("https://other.test", None, CA.pem)
    named = flagged(bench, Overrides(server="https://other.test", tls_server_name="mine"), cluster=declared)
    assert named.tls_server_name == "mine"
    assert flagged(bench, Overrides(tls_server_name="mine"), cluster=declared).url == "https://api.test:6443"


@pytest.mark.parametrize("server", ["127.0.0.1:8001", "http://127.0.0.1:8001"])
def test_server_without_scheme_is_plain(bench: Workbench, server: str) -> None:
    context = flagged(bench, Overrides(server=server))
    assert (context.url, context.scheme, context.credential.token) == ("http://127.0.0.1:8001", "http", "")
    assert [(one.where, one.code) for one in context.warnings] == [("--server", "kubeconfig.plain-http")]
    assert "users[jane].user.token" in context.warnings[0].message


def test_a_ca_replaces_everything_about_trust(bench: Workbench) -> None:
    mine = bench.write(CA.pem, "mine.crt")
    context = flagged(bench, Overrides(certificate_authority=mine), cluster={"insecure-skip-tls-verify": True})
    assert (context.ca_pem, context.insecure_skip_tls_verify, context.ca_where) == (CA.pem, False, "--certificate-authority")


def test_insecure_drops_the_ca(bench: Workbench) -> None:
    declared = {"certificate-authority-data": _data(CA.pem)}
    context = flagged(bench, Overrides(insecure_skip_tls_verify=True), cluster=declared)
    assert (context.ca_pem, context.insecure_skip_tls_verify) == (None, True)


def test_insecure_beside_a_ca(bench: Workbench) -> None:
    both = Overrides(insecure_skip_tls_verify=True, certificate_authority=bench.write(CA.pem, "mine.crt"))
    assert problems(bench, both) == [("--insecure-skip-tls-verify", "kubeconfig.insecure")]


def test_relative_files_start_at_the_working_folder(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.crt").write_bytes(CA.pem)
    monkeypatch.chdir(elsewhere)
    assert flagged(bench, Overrides(certificate_authority="mine.crt")).ca_pem == CA.pem
    assert problems(bench, Overrides(certificate_authority="none.crt")) == [
        ("--certificate-authority", "kubeconfig.ca.unreadable")
    ]


def test_the_rest_of_the_cluster(bench: Workbench) -> None:
    context = flagged(bench, Overrides(disable_compression=True, proxy_url="socks5://u:very-secret@proxy.test"))
    assert (context.disable_compression, context.proxy_url) == (True, "socks5://u:very-secret@proxy.test")
    assert "very-secret" not in repr(Overrides(proxy_url="socks5://u:very-secret@proxy.test"))
    assert problems(bench, Overrides(proxy_url="ftp://proxy.test")) == [("--proxy-url", "kubeconfig.proxy-url")]


def test_token_wins_over_a_token_file(bench: Workbench) -> None:
    credential = flagged(bench, Overrides(token="mine"), user={"token": "", "tokenFile": "t"}).credential
    assert (credential.token, credential.token_file, credential.token_where) == ("mine", None, "--token")


def test_token_beside_a_password(bench: Workbench) -> None:
    declared = {"token": "", "username": "u", "password": "very-secret"}
    assert problems(bench, Overrides(token="mine"), user=declared) == [("--token", "kubeconfig.user.several")]


def test_certificate_and_key_replace_data_each(bench: Workbench) -> None:
    pair = {"client-certificate-data": _data(b"certificate"), "client-key-data": _data(b"key")}
    credential = flagged(bench, Overrides(client_certificate="/c.crt"), user=pair).credential
    assert credential.certificate
    assert credential.key
    assert (credential.certificate.path, credential.key.data) == (Path("/c.crt"), b"key")
    assert problems(bench, Overrides(client_certificate="/c.crt")) == [
        ("config: users[jane].user.client-key", "kubeconfig.user.key")
    ]


def test_impersonation_is_merged(bench: Workbench) -> None:
    declared = {"as": "a", "as-uid": "1", "as-groups": ["g"], "as-user-extra": {"x": ["1"], "y": ["2"]}}
    flags = Overrides(as_user="b", as_group=("h", "i"), as_user_extra=("y=3", "y=4", "z=a=b"))
    impersonation = flagged(bench, flags, user=declared).credential.impersonation
    assert impersonation == Impersonation("b", "1", ("h", "i"), (("x", ("1",)), ("y", ("3", "4")), ("z", ("a=b",))))
    assert flagged(bench, Overrides(as_user="b"), user=declared).credential.impersonation == Impersonation(
        "b", "1", ("g",), (("x", ("1",)), ("y", ("2",)))
    )


def test_impersonation_without_a_user(bench: Workbench) -> None:
    assert problems(bench, Overrides(as_group=("g",)), user={"as": None}) == [
        ("config: users[jane].user.as", "kubeconfig.user.impersonation")
    ]
    assert problems(bench, Overrides(as_user="u", as_user_extra=("x",)))[0] == ("--as-user-extra", "flags.extra")


def test_another_cluster_and_user(bench: Workbench) -> None:
    more = {
        "clusters": [*GOOD["clusters"], {"name": "west", "cluster": {"server": "https://west.test"}}],
        "users": [*GOOD["users"], {"name": "joe", "user": {"token": "his"}}],
    }
    context = flagged(bench, Overrides(cluster="west", user="joe"), **more)
    assert (context.cluster_name, context.url, context.user_name, context.credential.token) == (
        "west",
        "https://west.test",
        "joe",
        "his",
    )


def test_names_that_are_not_there(bench: Workbench) -> None:
    assert problems(bench, Overrides(cluster="west", user="joe")) == [
        ("--cluster", "kubeconfig.cluster.unknown"),
        ("--user", "kubeconfig.user.unknown"),
    ]


def test_a_context_without_cluster_and_a_server(bench: Workbench) -> None:
    assert (
        flagged(bench, Overrides(server="https://x.test", token="t"), context={"cluster": "", "user": ""}).url == "https://x.test"
    )


class TestWithoutKubeconfig:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        return {"HOME": str(tmp_path)}

    def test_only_who_asks_for_it(self, environ: dict[str, str]) -> None:
        with pytest.raises(InvalidInput):
            load(None, None, environ, overrides=Overrides(server="https://x.test"))

    def test_the_default_server(self, environ: dict[str, str], tmp_path: Path) -> None:
        context = load(None, None, environ, fallback=True)
        assert (context.url, context.name, context.implicit) == ("http://localhost:8080", "default", True)
        assert (context.files, context.missing) == ((), (tmp_path / ".kube" / "config",))

    def test_kubernetes_master(self, environ: dict[str, str]) -> None:
        environ["KUBERNETES_MASTER"] = "10.0.0.1:8080"
        assert load(None, None, environ, fallback=True).url == "http://10.0.0.1:8080"
        environ["KUBERNETES_MASTER"] = "https://"
        with pytest.raises(InvalidInput) as caught:
            load(None, None, environ, fallback=True)
        assert {problem.where for problem in caught.value.problems} == {"$KUBERNETES_MASTER"}

    def test_flags_alone(self, environ: dict[str, str]) -> None:
        context = load(None, None, environ, fallback=True, overrides=Overrides(server="https://x.test", token="t"))
        assert (context.url, context.credential.token, context.warnings) == ("https://x.test", "t", ())

    def test_no_current_context(self, environ: dict[str, str], bench: Workbench) -> None:
        bench.good(**{"current-context": ""})
        assert load(bench.file, None, environ, fallback=True).url == "http://localhost:8080"

    def test_a_named_file_has_to_be_there(self, environ: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(InvalidInput):
            load(tmp_path / "none", None, environ, fallback=True)

    def test_none_of_the_list(self, tmp_path: Path) -> None:
        listed = (tmp_path / "a", tmp_path / "b")
        context = load(None, None, {"KUBECONFIG": ":".join(map(str, listed))}, fallback=True)
        assert (context.url, context.missing) == ("http://localhost:8080", listed)


class TestInCluster:
    @pytest.fixture
    def environ(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        folder = tmp_path / "serviceaccount"
        folder.mkdir()
        (folder / "token").write_text("of-the-pod\n")
        (folder / "ca.crt").write_bytes(CA.pem)
        (folder / "namespace").write_text("team-a\n")
        monkeypatch.setattr(in_cluster, "FOLDER", folder)
        return {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}

    def test_a_pod(self, environ: dict[str, str], tmp_path: Path) -> None:
        context = load(None, None, environ, fallback=True)
        assert (context.name, context.url, context.namespace, context.ca_pem) == (
            "in-cluster",
            "https://[fd00::1]",
            "team-a",
            CA.pem,
        )
        assert context.credential.token_file == tmp_path / "serviceaccount" / "token"
        assert load(None, None, environ | {"POD_NAMESPACE": "b"}, fallback=True).namespace == "b"

    def test_without_a_ca(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "serviceaccount" / "ca.crt").unlink()
        context = load(None, None, environ, fallback=True)
        assert (context.ca_pem, [one.code for one in context.warnings]) == (None, ["in-cluster.ca"])

    def test_flags_over_it(self, environ: dict[str, str]) -> None:
        context = load(None, None, environ, fallback=True, overrides=Overrides(token="mine", as_user="u"))
        assert (context.credential.token, context.credential.token_file) == ("mine", None)
        assert context.credential.impersonation == Impersonation("u")

    def test_another_server_does_not_get_its_token(self, environ: dict[str, str]) -> None:
        context = load(None, None, environ, fallback=True, overrides=Overrides(server="https://x.test"))
        assert (context.url, context.credential.has_secret) == ("https://x.test", False)

    @pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_no_pod(self, environ: dict[str, str], name: str) -> None:
        assert load(None, None, environ | {name: ""}, fallback=True).url == "http://localhost:8080"

    def test_a_kubeconfig_comes_first(self, environ: dict[str, str], bench: Workbench) -> None:
        assert load(bench.good(), None, environ, fallback=True).url == "https://api.test:6443"


class TestChosen:
    def test_use_context_later_changes_nothing(self, bench: Workbench) -> None:
        more = [*GOOD["contexts"], {"name": "other", "context": {"cluster": "east", "user": ""}}]
        choose = Chosen(bench.good(contexts=more), None, {})
        assert choose().name == "prod"
        bench.good(contexts=more, **{"current-context": "other"})
        assert choose().name == "prod"

    def test_a_context_that_is_gone_is_missed_where_it_was(self, bench: Workbench) -> None:
        for given, place in ((None, str(bench.file)), ("prod", "--context")):
            choose = Chosen(bench.good(), given, {})
            choose()
            bench.good(contexts=[])
            with pytest.raises(InvalidInput) as caught:
                choose()
            assert [problem.where for problem in caught.value.problems] == [place]

    def test_a_kubeconfig_that_comes_later(self, tmp_path: Path) -> None:
        environ = {"HOME": str(tmp_path)}
        choose = Chosen(None, None, environ, fallback=True)
        first = choose()
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube" / "config").write_text(yaml.safe_dump(GOOD))
        assert load(None, None, environ, fallback=True).name == "prod"
        assert replace(choose(), files=(), missing=first.missing) == first


def _data(content: bytes) -> str:
    return base64.b64encode(content).decode()
