import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.model.names import closest, covers, kind_of, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kube-apiserver", "kube-apiserver"),
        ("Größe 大 אב", "Größe 大 אב"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\x00\x7f\x9b", "a\\x0ab\\x0d\\x00\\x7f\\x9b"),
        ("good\u202elive", "good\\u202elive"),
        ("\u2066x\u2069\u200b\ufeff", "\\u2066x\\u2069\\u200b\\ufeff"),
        ("\u2028\u00a0\u3000", "\\u2028\\xa0\\u3000"),
        ("\u3164\u2800\U000e0041", "\\u3164\\u2800\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_of_strangers_cannot_act_on_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_what_is_shown_is_printable_and_stays_so(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("certified", "name"),
    [
        (["api.test"], "api.test"),
        (["API.Test"], "api.test"),
        (["api.test"], "api.test."),
        (["*.example.test"], "api.example.test"),
        (["10.0.0.1"], "10.0.0.1"),
        (["0:0::1"], "::1"),
        (["other", "api.test"], "api.test"),
    ],
)
def test_covered(certified: list[str], name: str) -> None:
    assert covers(certified, name)


@pytest.mark.parametrize(
    ("certified", "name"),
    [
        ([], "api.test"),
        (["api.test"], "xapi.test"),
        (["api.test"], "a.api.test"),
        (["*.example.test"], "example.test"),
        (["*.example.test"], "a.b.example.test"),
        (["*.example.test"], ".example.test"),
        (["*.test"], "api.test"),
        (["*"], "localhost"),
        (["a*.example.test"], "api.example.test"),
        (["api.*.test"], "api.example.test"),
        (["*.0.0.1"], "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.2"),
        (["10.0.0.1"], "api.test"),
    ],
)
def test_not_covered(certified: list[str], name: str) -> None:
    assert not covers(certified, name)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prdo", "prod"),
        ("default_cluster", "defaultCluster"),
        ("default-cluster", "defaultCluster"),
        ("DEFAULTCLUSTER", "defaultCluster"),
        ("prod", "prod"),
        ("x", None),
        ("", None),
        ("prod" * 1_000_000, None),
    ],
)
def test_what_was_meant(word: str, meant: str | None) -> None:
    assert closest(word, ["stage", "prod", "defaultCluster"]) == meant


def test_nothing_can_be_meant_where_nothing_is_known() -> None:
    assert closest("prod", []) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("a", "text"),
        ([], "a list"),
        ({}, "a mapping"),
        (None, "nothing"),
    ],
)
def test_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind
