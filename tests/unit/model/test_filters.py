"""Resources as `--deny` names them, and the filters that there are without flags."""

import pytest

from kubegate.model.filters import DeniedResource, default_filters, read_denied


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("secrets", DeniedResource(None, "secrets", None)),
        ("deployments.apps", DeniedResource("apps", "deployments", None)),
        ("pods/exec", DeniedResource(None, "pods", "exec")),
        ("deployments.apps/scale", DeniedResource("apps", "deployments", "scale")),
        ("*/proxy", DeniedResource(None, "*", "proxy")),
        ("*.rbac.authorization.k8s.io", DeniedResource("rbac.authorization.k8s.io", "*", None)),
        ("secrets.", DeniedResource("", "secrets", None)),
    ],
)
def test_a_resource_is_read_as_it_is_typed(text: str, denied: DeniedResource) -> None:
    assert read_denied("--deny", [text]) == ((denied,), [])
    assert str(denied) == text


def test_commas_and_the_flag_again_both_add_one() -> None:
    denied, problems = read_denied("--deny", ["secrets, configmaps", "pods/exec"])
    assert [str(one) for one in denied] == ["secrets", "configmaps", "pods/exec"]
    assert not problems


@pytest.mark.parametrize("text", ["Secrets", "secrets/", "/exec", "", "a b", "secrets/*", "pods/exec/x", "secrets..apps/", "-a"])
def test_what_no_api_server_would_call_a_resource_is_refused(text: str) -> None:
    denied, [problem] = read_denied("--deny", [text])
    assert not denied
    assert problem.where == "--deny"
    assert repr(text) in problem.message


@pytest.mark.parametrize(
    ("text", "meant"), [("secret", "secrets"), ("po/exec", "pods/exec"), ("deploy.apps", "deployments.apps")]
)
def test_names_that_only_kubectl_knows_would_deny_nothing_and_are_refused(text: str, meant: str) -> None:
    denied, [problem] = read_denied("--deny", [text])
    assert not denied
    assert problem.hint == f"write {meant}"


@pytest.mark.parametrize("text", ["secrets.v1", "deployments.v1.apps", "widgets.v1beta2.example.com/status"])
def test_a_version_would_be_taken_for_a_group_and_is_refused(text: str) -> None:
    denied, [problem] = read_denied("--deny", [text])
    assert not denied
    assert problem.code == "deny.version"


@pytest.mark.parametrize("text", ["widgets.v1x.example.com", "widgets.vendor.example.com", "widgets.example.v1.com"])
def test_a_group_that_only_looks_like_one_is_a_group(text: str) -> None:
    assert [str(one) for one in read_denied("--deny", [text])[0]] == [text]


def test_every_wrong_one_is_told_at_once() -> None:
    denied, problems = read_denied("--deny", ["secret", "configmaps", "A"])
    assert [str(one) for one in denied] == ["configmaps"]
    assert [problem.code for problem in problems] == ["deny.short", "deny.form"]


def test_without_flags_nothing_knows_resources() -> None:
    assert not default_filters().guarded
    assert [pattern.text for pattern in default_filters().reject_paths] == ["^/api/.*/pods/.*/exec", "^/api/.*/pods/.*/attach"]
