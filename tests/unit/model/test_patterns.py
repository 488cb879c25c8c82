"""Which patterns are read as plain strings in order, and that these strings mean what RE2 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.model.patterns import Sequence, read_pattern
from kubegate.proxy.patterns import Compiled


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("", Sequence(False, (), False)),
        ("^", Sequence(False, (), False)),
        ("$", Sequence(False, (), False)),
        ("^.*", Sequence(False, (), False)),
        ("^.*$", Sequence(False, (), False)),
        (".*", Sequence(False, (), False)),
        ("^$", Sequence(True, (), True)),
        ("^localhost$", Sequence(True, ("localhost",), True)),
        (r"^127\.0\.0\.1$", Sequence(True, ("127.0.0.1",), True)),
        (r"^\[::1\]$", Sequence(True, ("[::1]",), True)),
        ("^/api/.*/pods/.*/exec", Sequence(True, ("/api/", "/pods/", "/exec"), False)),
        ("^.*exec$", Sequence(False, ("exec",), True)),
        ("exec.*$", Sequence(False, ("exec",), False)),
        ("a.*.*b", Sequence(False, ("a", "b"), False)),
        (r"a\.\*\$\\", Sequence(False, ("a.*$\\",), False)),
        ("POST", Sequence(False, ("POST",), False)),
        ("a,b c~", Sequence(False, ("a,b c~",), False)),
    ],
)
def test_literals_anchors_and_anything_between_are_a_sequence(text: str, sequence: Sequence) -> None:
    assert read_pattern(text).sequence == sequence
    assert read_pattern(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "a.b",
        "a+",
        "a?",
        "(a)",
        "[a]",
        "a{2}",
        "a|b",
        "^^a",
        "a$b",
        "a$$",
        r"\d",
        r"\Qa\E",
        "a.*?",
        ".*+",
        "*",
        "é",
        "a\n",
        "\\",
        r"a\z",
        "]",
    ],
)
def test_everything_else_is_for_re2(text: str) -> None:
    assert read_pattern(text).sequence is None


TOKENS = ["a", "b", "/", ".*", r"\.", ".", "ab", "%", r"\$", "exec"]
patterns = st.tuples(
    st.sampled_from(["", "^"]), st.lists(st.sampled_from(TOKENS), max_size=6).map("".join), st.sampled_from(["", "$"])
).map("".join)
texts = st.text(st.sampled_from("ab/.%$xec"), max_size=12)


@given(pattern=patterns, text=texts)
def test_a_sequence_means_what_re2_says(pattern: str, text: str) -> None:
    sequence = read_pattern(pattern).sequence
    if sequence is not None:
        assert sequence.matches(text) == Compiled(pattern).search(text.encode())


@given(pattern=patterns)
def test_no_sequence_has_an_empty_part(pattern: str) -> None:
    sequence = read_pattern(pattern).sequence
    assert sequence is None or all(sequence.parts)


@pytest.mark.parametrize(("text", "everything", "nothing"), [("^.*", True, False), ("^$", False, True), ("a", False, False)])
def test_what_matches_everything_and_what_the_empty_text_only(text: str, everything: bool, nothing: bool) -> None:
    sequence = read_pattern(text).sequence
    assert sequence is not None
    assert (sequence.matches_all, sequence.matches_empty_only) == (everything, nothing)
