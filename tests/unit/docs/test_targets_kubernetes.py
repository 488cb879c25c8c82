"""The page on targets in a cluster is what the targets say of each key."""

import re

import pytest

from docs.generate_targets import BEGIN, PAGE, generated


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page.count(BEGIN) == 1
    assert generated(page) == page, "write it anew: python -m docs.generate_targets"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()))))
def test_links_lead_somewhere(link: str) -> None:
    assert (PAGE.parent / link).exists()


def test_every_recipe_is_listed() -> None:
    folder = PAGE.parent / "recipes"
    listed = (folder / "README.md").read_text()
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert len(pages) == 3
    assert [page for page in sorted(pages) if f"[{page}]({page})" not in listed] == []
