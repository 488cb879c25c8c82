"""What the client kubeconfig may replace, and what it must not."""

from pathlib import Path

import pytest

from kubegate.model.problem import InvalidInput
from kubegate.runtime.outfile import target_of, write

OURS = "contexts: [{name: kubegate-dev, context: {cluster: c}}]\n"
MIXED = "contexts: [{name: kubegate-dev, context: {}}, {name: prod, context: {}}]\n"


def refusal(out: Path, *read: Path) -> str:
    """The code of the one problem."""
    with pytest.raises(InvalidInput) as caught:
        target_of(out, read)
    [problem] = caught.value.problems
    assert problem.where == f"--out {out}"
    assert problem.hint
    return problem.code


@pytest.mark.parametrize("content", ["", OURS])
def test_nothing_is_lost(tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    out.write_text(content)
    assert target_of(out, []) == out


@pytest.mark.parametrize("content", [MIXED, "contexts: []", "kind: Config", "a: [", "\0", "text\n", "-----BEGIN"])
def test_something_would_be_lost(tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    out.write_text(content)
    assert refusal(out) == "out.foreign"
    assert out.read_text() == content


def test_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    first, second, target = tmp_path / "first", tmp_path / "folder" / "second", tmp_path / "target"
    first.symlink_to("folder/second")
    second.symlink_to("../target")
    write(target_of(first, []), OURS)
    assert first.is_symlink()
    assert second.is_symlink()
    assert target.read_text() == OURS
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_to_something_else(tmp_path: Path) -> None:
    link, precious = tmp_path / "link", tmp_path / "precious"
    precious.write_text("precious")
    link.symlink_to(precious)
    assert refusal(link) == "out.foreign"
    assert refusal(link, precious) == "out.source"
    link.unlink()
    link.symlink_to("nowhere/file")
    assert refusal(link) == "out.no-folder"


def test_the_same_file_by_another_way(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text(OURS)
    assert refusal(tmp_path / ".." / tmp_path.name / "source", source) == "out.source"


def test_names_that_cannot_be(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("n" * 256)) == "out.unusable"
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "out") == "out.no-folder"
