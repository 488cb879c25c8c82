"""One quoting function: what goes in comes out of HAProxy's words (and of a shell's, which are alike here) as it was."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubegate.render.haproxy.text import quote, section, word


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_quoted_value_is_one_literal_word(value: str) -> None:
    assert shlex.split(quote(value)) == [value]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_word_has_quotes_only_where_it_needs_them(value: str) -> None:
    assert shlex.split(word(value)) == [value]


@pytest.mark.parametrize("value", ["api.example.com", "kubernetes.default.svc", "xn--a_b-1"])
def test_a_dns_name_needs_none(value: str) -> None:
    assert word(value) == value


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\tb", "a\0b", "\x1b[0m", "a\x7f"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        quote(value)


def test_a_section_is_its_head_and_indented_lines() -> None:
    assert section("backend x", ["mode tcp", "", "retries 2"]) == "backend x\n  mode tcp\n\n  retries 2"
