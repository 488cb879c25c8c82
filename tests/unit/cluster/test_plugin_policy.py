"""Which plugins a kuberc lets run, and where it is looked for."""

from pathlib import Path

import pytest

from kubegate.cluster.plugin_policy import PluginPolicy, read_policy
from kubegate.model.problem import InvalidInput

HEAD = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"


def written(folder: Path, text: str, name: str = "kuberc") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def codes(kuberc: str, environ: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_policy(kuberc, environ)
    return [problem.code for problem in caught.value.problems]


def test_where_it_stands(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert read_policy("", home) == PluginPolicy()
    written(tmp_path, f"{HEAD}credentialPluginPolicy: DenyAll", ".kube/kuberc")
    assert read_policy("", home).kind == "DenyAll"
    named = written(tmp_path, f"{HEAD}credentialPluginPolicy: AllowAll")
    assert read_policy("", home | {"KUBERC": named}).kind == "AllowAll"
    other = written(tmp_path, HEAD, "other")
    assert read_policy(other, home | {"KUBERC": named}).kind == ""


@pytest.mark.parametrize("environ", [{"KUBERC": "off"}, {"KUBECTL_KUBERC": "false"}, {"KUBECTL_KUBERC": "0"}])
def test_switched_off(tmp_path: Path, environ: dict[str, str]) -> None:
    written(tmp_path, f"{HEAD}credentialPluginPolicy: DenyAll", ".kube/kuberc")
    assert read_policy("", environ | {"HOME": str(tmp_path)}) == PluginPolicy()


def test_switched_off_and_named(tmp_path: Path) -> None:
    assert codes(written(tmp_path, HEAD), {"KUBERC": "off"}) == ["kuberc.off"]


def test_the_first_document_that_holds_preferences(tmp_path: Path) -> None:
    text = f"kind: Other\n---\n{HEAD}credentialPluginPolicy: DenyAll\n---\n{HEAD}"
    assert read_policy(written(tmp_path, text), {}).kind == "DenyAll"


def test_what_is_no_kuberc(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert codes(str(tmp_path / "none"), {}) == ["kuberc.unreadable"]
    assert codes(written(tmp_path, "kind: Other"), {}) == ["kuberc.none"]
    written(tmp_path, "kind: Other", ".kube/kuberc")
    assert read_policy("", home) == PluginPolicy()
    written(tmp_path, "kind: [", ".kube/kuberc")
    assert codes("", home) == ["kubeconfig.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "credentialPluginPolicy: Some",
        "credentialPluginPolicy: Allowlist",
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: []",
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{}]",
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: /a//b}]",
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: a, name: b}]",
        "credentialPluginPolicy: AllowAll\ncredentialPluginAllowlist: [{command: a}]",
        "credentialPluginAllowlist: [{command: a}]",
    ],
)
def test_wrong_rules(tmp_path: Path, text: str) -> None:
    assert codes(written(tmp_path, HEAD + text), {}) == ["kuberc.plugins"]


def test_who_may_run(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "login").write_text("#!/bin/sh\n")
        (tmp_path / folder / "login").chmod(0o755)
    path = f"{tmp_path}/a:{tmp_path}/b"
    first, second = f"{tmp_path}/a/login", f"{tmp_path}/b/login"
    assert PluginPolicy().allows("login", first, path)
    assert not PluginPolicy("f", "DenyAll").allows("login", first, path)
    for commands in (("login",), (first,), ("x", first)):
        assert PluginPolicy("f", "Allowlist", commands).allows("login", first, path)
        assert PluginPolicy("f", "Allowlist", commands).allows(first, first, path)
    assert not PluginPolicy("f", "Allowlist", (second,)).allows("login", first, path)
    assert not PluginPolicy("f", "Allowlist", ("login",)).allows(second, second, path)
    assert not PluginPolicy("f", "Allowlist", ("other",)).allows("login", first, path)
