"""Files that are either the old ones or the new ones, and folders that are ours alone."""

import stat
from pathlib import Path

import pytest

from kubegate.system.files import (
    FileTrouble,
    UnsafeFolder,
    explained,
    private_folder,
    reason,
    why_no_private_folder,
    write_atomically,
    write_once,
)


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    path = private_folder(tmp_path / "a" / "b")
    assert mode(path) == 0o700


def test_a_folder_of_ours_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o755)
    assert mode(private_folder(path)) == 0o700


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UnsafeFolder, match="is not a folder"):
        private_folder(tmp_path / "link")


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_write_to_is_refused_and_left_as_it_is(tmp_path: Path, bits: int) -> None:
    """Root may change /tmp, and must not."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(bits)
    with pytest.raises(UnsafeFolder, match="can be written to by other users"):
        private_folder(path)
    assert mode(path) == bits
    assert why_no_private_folder(path) == "can be written to by other users"


def test_nothing_is_changed_to_see_whether_a_folder_could_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert why_no_private_folder(tmp_path / "a" / "b") is None
    assert why_no_private_folder(tmp_path) is None
    assert why_no_private_folder(tmp_path / "file") == "is not a folder"
    assert why_no_private_folder(tmp_path / "link") == "is not a folder"
    assert why_no_private_folder(tmp_path / "file" / "a") == "cannot be made: not a directory"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_link_is_replaced_and_its_target_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_an_error_of_the_system_becomes_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(FileTrouble, match=r"^the file cannot be read: no such file or directory$") as caught,
        explained("the file cannot be read", "look for it"),
    ):
        (tmp_path / "nothing").read_bytes()
    assert caught.value.hint == "look for it"
    assert reason(OSError("without number")) == "without number"
    assert reason(TimeoutError()) == "timeouterror"


def test_a_new_file_is_made_whole_and_nothing_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    write_once(path, b"first", 0o644)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o644)
    with pytest.raises(FileExistsError):
        write_once(path, b"second")
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_once(dangling, b"third")
    assert path.read_bytes() == b"first"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ca.crt", "link"]
