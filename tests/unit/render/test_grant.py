"""A grant as objects: limited to its namespaces, labelled, and for its account alone."""

from datetime import UTC, datetime

import yaml

from kubegate.model.grant import Grant, Kind, Rule
from kubegate.render.grant import account, bindings, labels, roles, to_yaml

RULES = (Rule(("get", "list"), "", ("pods", "pods/log")),)
USER = "system:serviceaccount:dev:ci"
TOKEN = Grant("ci", Kind.TOKEN, USER, "dev", ("dev", "stage"), RULES)
EXPIRES = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_role_and_a_binding_in_each_namespace_for_one_account() -> None:
    assert [(one["kind"], one["metadata"]["namespace"]) for one in roles(TOKEN)] == [("Role", "dev"), ("Role", "stage")]
    for one in bindings(TOKEN, EXPIRES):
        assert one["kind"] == "RoleBinding"
        assert one["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "kubegate-grant-ci"}
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": "ci", "namespace": "dev"}]
        assert one["metadata"]["annotations"]["kubegate.dev/expires"] == "2026-11-24T12:00:00+00:00"
    assert roles(TOKEN)[0]["rules"] == [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]


def test_everything_is_labelled_and_the_account_mounts_nothing() -> None:
    made = [account(TOKEN), *roles(TOKEN), *bindings(TOKEN, None)]
    assert all(one["metadata"]["labels"] == labels("ci") for one in made)
    assert account(TOKEN)["automountServiceAccountToken"] is False
    assert all("kubegate.dev/expires" not in one["metadata"].get("annotations", {}) for one in made)


def test_the_whole_cluster_takes_cluster_objects() -> None:
    everywhere = Grant("ci", Kind.TOKEN, USER, "dev", (), (*RULES, Rule(("get",), urls=("/metrics",))))
    [role], [binding] = roles(everywhere), bindings(everywhere, None)
    assert (role["kind"], binding["kind"], binding["roleRef"]["kind"]) == ("ClusterRole", "ClusterRoleBinding", "ClusterRole")
    assert "namespace" not in role["metadata"]
    assert role["rules"][1] == {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}


def test_a_certificate_is_bound_by_its_own_user_name() -> None:
    jane = Grant("jane", Kind.CERTIFICATE, "kubegate:jane:0a", "dev", ("dev",), RULES)
    [binding] = bindings(jane, EXPIRES)
    assert binding["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "kubegate:jane:0a"}]


def test_the_text_is_yaml_without_anchors() -> None:
    text = to_yaml([account(TOKEN), *roles(TOKEN), *bindings(TOKEN, None)])
    assert "&" not in text
    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["ServiceAccount", "Role", "Role", "RoleBinding", "RoleBinding"]
