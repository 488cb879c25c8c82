"""The reference page is what the schema says, and its examples are files that can be used."""

from typing import Any

import pytest
import yaml

from docs.generate import BEGIN, PAGE, generated
from kubegate.model.schema import described_at
from tests.unit.model.declared import read
from tests.unit.model.mutations import EXAMPLES, FULL, MINIMAL


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page.count(BEGIN) == 1
    assert generated(page) == page, "write it anew: python -m docs.generate"


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_its_examples_are_read(text: str) -> None:
    assert read(text).config.clusters


def test_it_has_no_other_examples() -> None:
    assert [text for text in EXAMPLES[2:] if not text.startswith("#")] == []


def keys(value: Any, path: str = "") -> set[str]:
    """The keys that a file uses, without the numbers of lists."""
    if isinstance(value, list):
        return {key for one in value for key in keys(one, path)}
    if not isinstance(value, dict):
        return set()
    return {f"{path}.{key}" for key in value} | {found for key, below in value.items() for found in keys(below, f"{path}.{key}")}


def known(loc: tuple[str | int, ...] = (), path: str = "") -> set[str]:
    """The keys that there are."""
    described = described_at(loc)
    if "items" in described:
        return known((*loc, 0), path)
    nested = {found for key in described.get("properties", {}) for found in known((*loc, key), f"{path}.{key}")}
    return {f"{path}.{key}" for key in described.get("properties", {})} | nested


def test_the_full_example_has_every_key() -> None:
    assert keys(yaml.safe_load(FULL)) == known()
