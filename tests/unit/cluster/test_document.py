from pathlib import Path

import pytest

from kubegate.cluster.document import read_document
from kubegate.model.problem import InvalidInput, Problem
from tests.unit.cluster.kubeconfigs import Workbench


def problems(path: Path) -> list[Problem]:
    with pytest.raises(InvalidInput) as caught:
        read_document(path)
    return [Problem(p.where.replace(str(path), "FILE"), p.code, p.message, p.hint) for p in caught.value.problems]


def test_an_empty_file_defines_nothing(bench: Workbench) -> None:
    for text in ("", "---\n", "# nothing\n", "{}", "clusters:\nusers: null\n"):
        document = read_document(bench.write(text))
        assert (document.clusters, document.contexts, document.users, document.current_context) == ({}, {}, {}, "")


def test_json_is_yaml(bench: Workbench) -> None:
    document = read_document(bench.write('{"clusters": [{"name": "a", "cluster": {"server": "s"}}], "current-context": "x"}'))
    assert document.clusters["a"].body == {"server": "s"}
    assert document.current_context == "x"


def test_of_several_documents_the_first_counts(bench: Workbench) -> None:
    assert read_document(bench.write("current-context: a\n---\ncurrent-context: b\n")).current_context == "a"


@pytest.mark.parametrize("name", ["2024-01-01", "1:30", "0x1f", "0o17", "1_000", "=", "12e", "1.2.3", "~x"])
def test_names_that_only_look_like_something_else(bench: Workbench, name: str) -> None:
    document = read_document(bench.write(f"contexts: [{{name: {name}, context: {{}}}}]\n"))
    assert list(document.contexts) == [name]


@pytest.mark.parametrize("name", ["yes", "12", "089", "-3", "1.5", "1e9", "off", "[]", "{}"])
def test_names_that_are_something_else(bench: Workbench, name: str) -> None:
    found = problems(bench.write(f"contexts: [{{name: {name}, context: {{}}}}]\n"))
    assert [(one.where, one.code) for one in found] == [("FILE: contexts[0].name", "kubeconfig.type")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("clusters: [\n  {a\n", "FILE:3"),
        ("a: b: c\n", "FILE:1"),
        ("x: 1\n\ttab: 2\n", "FILE:2"),
        ("a: *nobody\n", "FILE:1"),
        ("a: !secret very\n", "FILE:1"),
        ("a: !!python/object:os.system x\n", "FILE:1"),
        ("a: !!timestamp x\n", "FILE:1"),
        ("a: !!int x\n", "FILE"),
        ("a: !!bool x\n", "FILE"),
        ("a: \x00\n", "FILE"),
        (b"a: \xff\xfe\n", "FILE"),
        (b"\x1f\x8b\x08\x00", "FILE"),
        ("[" * 100_000, "FILE"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(bench: Workbench, text: str, place: str) -> None:
    (problem,) = problems(bench.write(text))
    assert (problem.where.split(":")[0], problem.code) == ("FILE", "kubeconfig.yaml")
    assert problem.where == place
    assert "very" not in problem.message


def test_a_file_that_is_not_a_mapping_is_not_repeated(bench: Workbench) -> None:
    for text, kind in (("very-secret-token\n", "text"), ("- a\n", "a list"), ("7", "a number")):
        (problem,) = problems(bench.write(text))
        assert problem.message == f"is {kind}, a kubeconfig is a mapping"


def test_all_that_is_wrong_with_the_frame(bench: Workbench) -> None:
    text = """
kind: Pod
apiVersion: v2
current-context: [a]
clusters: {a: b}
contexts: [x, {name: a, context: 7}, {context: {}}]
users: [{name: u, user: {}}, {name: u}, {name: 'a]b', user: []}]
"""
    assert [(one.where, one.code) for one in problems(bench.write(text))] == [
        ("FILE: clusters", "kubeconfig.type"),
        ("FILE: contexts[0]", "kubeconfig.type"),
        ("FILE: contexts[a].context", "kubeconfig.type"),
        ("FILE: users[u]", "kubeconfig.duplicate"),
        ("FILE: users[a]b].user", "kubeconfig.type"),
        ("FILE: current-context", "kubeconfig.type"),
        ("FILE: kind", "kubeconfig.kind"),
        ("FILE: apiVersion", "kubeconfig.kind"),
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        (problem,) = problems(path)
        assert problem.code == "kubeconfig.unreadable"
        assert why in problem.message


def test_names_are_escaped_in_problems(bench: Workbench) -> None:
    (problem,) = problems(bench.write('users: [{name: "a\\e[2J", user: 1}]'))
    assert problem.where == "FILE: users[a\\x1b[2J].user"


def test_anchors_and_merges(bench: Workbench) -> None:
    text = "clusters: [{name: a, cluster: &x {server: s, proxy-url: p}}, {name: b, cluster: {<<: *x, server: t}}]\n"
    document = read_document(bench.write(text))
    assert document.clusters["b"].body == {"server": "t", "proxy-url": "p"}


def test_secrets_are_not_in_repr(bench: Workbench) -> None:
    assert "very-secret" not in repr(read_document(bench.good()))
