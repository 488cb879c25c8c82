"""Text in YAML stays text for every reader, and nothing more than text."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubegate.render.manifest import commented
from kubegate.render.yaml_text import dumped


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_what_is_written_is_read(value: object) -> None:
    assert yaml.safe_load(dumped(value)) == value


@pytest.mark.parametrize("text", ["12e3", "1", "yes", "y", "On", "null", "~", "0x1", "1_000", "2001-01-01", "", "{{ x }}", "- a"])
def test_what_looks_like_something_else_is_quoted(text: str) -> None:
    assert dumped({"key": text}) == f'key: "{text}"\n'


def test_a_comment_ends_with_its_line() -> None:
    assert commented(["a\nkind: Secret"]).count("\n") == 1
