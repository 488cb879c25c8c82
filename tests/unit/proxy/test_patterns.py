"""Patterns are those of Go's `regexp`; lists of them are those of `kubectl proxy`, but for commas that belong to a pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.proxy.patterns import Compiled, PatternRefused, as_go_reads, check_patterns, doubts, read_list, split

DEFAULT = "^/api/.*/pods/.*/exec"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("fo.*", b"a foo b", True),
        ("^fo", b"a foo", False),
        ("foo$", b"foo\n", False),
        ("a.b", b"a\nb", False),
        ("(?s)a.b", b"a\nb", True),
        ("(?i)^LOCALHOST$", b"localhost", True),
        (r"^\Qa.b\E$", b"a.b", True),
        (r"\pN", b"x7", True),
        (r"[[:alpha:]]{2}", b"a1b", False),
        ("^[^a]$", b"\xff", True),
        ("^.{2}$", b"\xe2\x82", True),
        ("^.$", b"\xe2\x82\xac", True),
        ("\ufffd", b"a\xff", True),
        (DEFAULT, b"/api/v1/namespaces/\xff/pods/p/exec", True),
        (DEFAULT, b"/api/v1/namespaces/\xe2\x82/pods/p/exec", True),
        (DEFAULT, b"/api/v1/name\nspaces/d/pods/p/exec", False),
        (r"\B", b"A\xffa", False),
        (r"a\Bb", b"ab", True),
    ],
)
def test_a_pattern_fits_as_with_go(pattern: str, text: bytes, fits: bool) -> None:
    assert Compiled(pattern).search(as_go_reads(text)) is fits


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[", "missing ]"),
        ("^(?!/api)", "invalid perl operator"),
        (r"a\C", r"\C"),
        ("(?P<é>x)", "named capture"),
        ("a**", "repetition"),
        (r"\Z", "escape"),
        (r"(a)\1", "escape"),
        ("x{1001}", "repetition"),
        ("\udcff", "UTF-8"),
    ],
)
def test_what_go_refuses_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(PatternRefused, match=r".*") as refused:
        Compiled(pattern)
    assert why in str(refused.value)


@pytest.mark.parametrize("pattern", [r"\\C", r"\Q\C\E", r"[\]C]", "[]C]", "(?P<a>x)(?<a>y)", r"\(?P<é>x", "{1", "3}$", r"\_\,"])
def test_what_only_looks_like_that_is_taken(pattern: str) -> None:
    assert check_patterns("--accept-paths", [pattern]) == []


@given(st.binary(max_size=12))
def test_each_bad_byte_reads_as_one_replacement_character(text: bytes) -> None:
    kept = text.decode(errors="surrogateescape")
    expected = "".join("\ufffd" if "\udc80" <= character <= "\udcff" else character for character in kept)
    assert as_go_reads(text).decode() == expected


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("", []),
        ("bar,.*", ["bar", ".*"]),
        ("^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach", ["^/api/.*/pods/.*/exec", "^/api/.*/pods/.*/attach"]),
        ("a,", ["a", ""]),
        ("^a{1,3}$", ["^a{1,3}$"]),
        ("^a{1,},b{2}", ["^a{1,}", "b{2}"]),
        ("[a,b],c", ["[a,b]", "c"]),
        ("[],],c", ["[],]", "c"]),
        ("[^],[:alpha:],],c", ["[^],[:alpha:],]", "c"]),
        (r"[\],],c", [r"[\],]", "c"]),
        ("(a,b),c", ["(a,b)", "c"]),
        ("((a,b),c),d", ["((a,b),c)", "d"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        (r"\(a,b\)", [r"\(a", r"b\)"]),
        (r"\Qa,(\E,b", [r"\Qa,(\E", "b"]),
        ("x{a,b}", ["x{a", "b}"]),
    ],
)
def test_a_value_given_once_is_a_list_whose_commas_separate(value: str, texts: list[str]) -> None:
    patterns, problems = read_list("--accept-paths", [value])
    assert [pattern.text for pattern in patterns] == texts
    assert not problems


@given(st.text(st.sampled_from("ab,^$.*/"), max_size=20))
def test_without_anything_around_a_comma_a_list_is_that_of_kubectl(value: str) -> None:
    assert list(split(value)) == value.split(",")


def test_a_flag_given_several_times_has_one_pattern_each() -> None:
    patterns, problems = read_list("--reject-paths", ["^/a,b", "^/c{1,3}$", ""])
    assert [pattern.text for pattern in patterns] == ["^/a,b", "^/c{1,3}$"]
    assert not problems


@pytest.mark.parametrize("value", ["^/a,^/b", "/a$,/b"])
def test_a_list_among_several_values_would_fit_nothing_and_is_refused(value: str) -> None:
    _, [problem] = read_list("--reject-paths", [value, "^/c"])
    assert (problem.where, problem.code) == ("--reject-paths", "pattern.list")
    assert f"`{value}`" in problem.message
    assert not Compiled(value).search(b"/a") and not Compiled(value).search(b"/b")


@pytest.mark.parametrize(("flag", "value"), [("--reject-methods", "POST,PUT"), ("--accept-hosts", "a,b")])
def test_where_texts_have_no_comma_a_pattern_with_one_is_a_list(flag: str, value: str) -> None:
    _, [problem] = read_list(flag, [value, "c"])
    assert (problem.where, problem.code) == (flag, "pattern.list")
    assert not read_list(flag, [value])[1]


def test_a_refused_pattern_is_told_by_flag_place_and_text() -> None:
    _, problems = read_list("--accept-hosts", ["^a$,[,(?=b),c"])
    assert [(problem.where, problem.code) for problem in problems] == [("--accept-hosts", "pattern.refused")]
    assert problems[0].message == "pattern 2 of 2, `[,(?=b),c`: missing ]: `[,(?=b),c`"


def test_every_refused_pattern_is_told() -> None:
    problems = check_patterns("--reject-paths", ["a", "(", "b", "(?=x)"])
    assert [problem.message.split(":")[0] for problem in problems] == ["pattern 2 of 4, `(`", "pattern 4 of 4, `(?=x)`"]


@pytest.mark.parametrize(
    ("value", "told"), [("a,", True), (",a", True), ("a,,b", True), ("a,b", False), ("", False), ("a", False)]
)
def test_a_comma_too_many_is_told_for_its_empty_pattern_fits_everything(value: str, told: bool) -> None:
    patterns, problems = read_list("--accept-paths", [value])
    assert not problems
    assert [problem.where for problem in doubts("--accept-paths", patterns)] == ["--accept-paths"] * told
