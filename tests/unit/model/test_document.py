"""YAML as declarations are written in: what it says, on which line, and what is no YAML at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubegate.model.document import read_document
from kubegate.model.problem import InvalidInput


def value(text: str) -> object:
    """What a text without flaws says."""
    document = read_document(text.encode(), "FILE")
    assert document.flaws == ()
    return document.value


def flaws(text: str) -> list[tuple[str, str]]:
    """Place and code of each flaw of a text that can be read."""
    document = read_document(text.encode(), "FILE")
    return [(problem.where, problem.code) for problem in (flaw.problem(document.places) for flaw in document.flaws)]


def refusal(content: str | bytes) -> tuple[str, str, str]:
    """Place, message and hint of the one problem of what cannot be read."""
    with pytest.raises(InvalidInput) as caught:
        read_document(content if isinstance(content, bytes) else content.encode(), "FILE")
    (problem,) = caught.value.problems
    assert problem.code == "config.yaml"
    return problem.where, problem.message, problem.hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("text", "text"),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e9", 1e9),
        ("089", 89.0),
        ("true", True),
        ("Yes", True),
        ("off", False),
        ("n", "n"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'12'", "12"),
        ('"yes"', "yes"),
        ("!!str 12", "12"),
        ("! yes", "yes"),
        ("1:30", "1:30"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("|\n  a\n  b", "a\nb\n"),
        ("[1, [a]]", [1, ["a"]]),
        ("{b: {c: d}}", {"b": {"c": "d"}}),
    ],
)
def test_values(typed: str, meant: object) -> None:
    found = value(f"a: {typed}\n")
    assert found == {"a": meant}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(meant)


def test_keys_are_text_as_it_was_typed() -> None:
    assert value("on: a\n1: b\n2024-01-01: c\nnull: d\n'q': e\n") == {
        "on": "a",
        "1": "b",
        "2024-01-01": "c",
        "null": "d",
        "q": "e",
    }


def test_json_is_yaml() -> None:
    assert value('{"a": ["b", 1, true, null]}') == {"a": ["b", 1, True, None]}


def test_a_byte_order_mark_and_document_markers_say_nothing() -> None:
    assert value("\ufeff%YAML 1.1\n---\na: b\n...\n") == {"a": "b"}


def test_aliases_stand_for_whole_values() -> None:
    assert value("a: &x {k: [1]}\nb: *x\nc: [*x]\n") == {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", [("FILE:3: a", "config.duplicate-key")]),
        ("a:\n- name: x\n  k: 1\n  k: 2\n", [("FILE:4: a[x].k", "config.duplicate-key")]),
        ("a: 1\n'a': 2\n\"a\": 3\n", [("FILE:2: a", "config.duplicate-key"), ("FILE:3: a", "config.duplicate-key")]),
        ("a: {b: 1, b: 2}\n", [("FILE:1: a.b", "config.duplicate-key")]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", [("FILE:3: c.<<", "config.unknown-key")]),
        ("? [a]\n: b\n", [("FILE:1: ?", "config.type")]),
        ("a: b\n? {c: d}\n: e\n", [("FILE:2: ?", "config.type")]),
        ("a: !secret x\nb: !!python/object:os.system y\n", [("FILE:1: a", "config.tag"), ("FILE:2: b", "config.tag")]),
        ("a: !!set {x}\n", [("FILE:1: a", "config.tag")]),
        ("a: *b\n", [("FILE:1: a", "config.alias")]),
        ("a: &a [*a]\n", [("FILE:1: a[0]", "config.alias")]),
    ],
)
def test_what_yaml_would_let_pass(text: str, found: list[tuple[str, str]]) -> None:
    assert flaws(text) == found


def test_a_key_that_is_typed_as_merge_in_quotes_is_a_key() -> None:
    assert value("'<<': 1\n") == {"<<": 1}


def test_of_a_key_that_stands_twice_the_first_value_is_looked_at() -> None:
    assert read_document(b"a: 1\na: 2\n", "FILE").value == {"a": 1}


@pytest.mark.parametrize(
    ("content", "where", "message", "hint"),
    [
        ("", "FILE:1", "is empty", "apiVersion"),
        ("# nothing\n", "FILE:1", "is empty", "apiVersion"),
        ("a: b: c\n", "FILE:1", "is not YAML", "quotes"),
        ("a: [1,\n  2\n", "FILE:3", "begins in line 1", "quotes"),
        ("a:\n  - b\n c: 1\n", "FILE:3", "is not YAML", "quotes"),
        ("a: @b\n", "FILE:1", "is not YAML", "quotes"),
        ("a: 'b\n", "FILE:2", "begins in line 1", "quotes"),
        ("a: 1\n\tb: 2\n", "FILE:2", "is not YAML", "never with tabs"),
        ("a:\n\t- b\n", "FILE:2", "is not YAML", "never with tabs"),
        ("a: 1\n---\nb: 2\n", "FILE:2", "second document", "another file"),
        ("a: 1\n---\n", "FILE:2", "second document", "another file"),
        ("a: 1\nb: \x01\n", "FILE:2", "a character that YAML has not (\\x01)", "take it out"),
        (b"a: 1\nb: \xff\n", "FILE:2", "is not UTF-8", "save the file as UTF-8"),
        ("a: b\n".encode("utf-16"), "FILE:1", "is not UTF-8", "save the file as UTF-8"),
        (b"\x1f\x8b\x08\x00", "FILE:1", "is not UTF-8", "save the file as UTF-8"),
        ("[" * 100_000, "FILE:1", "nested too deeply", "50 levels"),
        ("a: " + "{a: " * 60 + "1" + "}" * 60, "FILE:1", "nested too deeply", "50 levels"),
        ("\n" + "- " * 100_000, "FILE:2", "nested too deeply", "50 levels"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(content: str | bytes, where: str, message: str, hint: str) -> None:
    found = refusal(content)
    assert found[0] == where
    assert message in found[1]
    assert hint in found[2]


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    where, message, _ = refusal("\n".join(lines))
    assert where == "FILE:6"
    assert "by aliases" in message


def test_many_aliases_of_something_small_are_fine() -> None:
    document = read_document(("a: &a {x: 1}\nb:\n" + "- *a\n" * 10_000).encode(), "FILE")
    assert isinstance(document.value, dict)
    assert len(document.value["b"]) == 10_000


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        document = read_document(content, "FILE")
    except InvalidInput as error:
        assert all(problem.where.startswith("FILE:") for problem in error.problems)
    else:
        assert all(flaw.problem(document.places).where.startswith("FILE:") for flaw in document.flaws)


@settings(deadline=None)
@given(st.text(alphabet="ab: -\n\t[]{}&*!|>'\"#?,", max_size=60))
def test_any_text_of_yaml_signs_is_read_or_refused(text: str) -> None:
    try:
        read_document(text.encode(), "FILE")
    except InvalidInput as error:
        lines = [int(problem.where.split(":")[1]) for problem in error.problems]
        assert all(1 <= line <= text.count("\n") + 2 for line in lines)
