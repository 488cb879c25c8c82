"""Files that are written together: all or none, with their modes, and nothing is lost unasked."""

import os
import stat
from pathlib import Path

import pytest

from kubegate.system.file_sets import NewFile, in_the_way, write_all


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_with_their_modes(tmp_path: Path) -> None:
    write_all([NewFile(tmp_path / "key", b"k"), NewFile(tmp_path / "crt", b"c", 0o644)], replace=False)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("key", "crt")] == [0o600, 0o644]
    assert (tmp_path / "key").read_bytes() == b"k"
    assert names(tmp_path) == {"key", "crt"}


def test_none_where_one_is_there(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_all([NewFile(tmp_path / "a", b"new"), NewFile(tmp_path / "b", b"new")], replace=False)
    assert names(tmp_path) == {"b"}
    assert (tmp_path / "b").read_bytes() == b"old"


def test_replaced_where_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    (tmp_path / "b").chmod(0o644)
    write_all([NewFile(tmp_path / "a", b"new"), NewFile(tmp_path / "b", b"new")], replace=True)
    assert (tmp_path / "b").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600


def test_none_where_one_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_all([NewFile(tmp_path / "a", b"new"), NewFile(tmp_path / "missing" / "b", b"new")], replace=True)
    assert names(tmp_path) == set()


def test_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    files = [NewFile(tmp_path / name, b"") for name in ("link", "free")]
    assert in_the_way(files) == [tmp_path / "link"]


def test_instead_of_one_behind_a_link(tmp_path: Path) -> None:
    target = tmp_path / "real"
    target.write_bytes(b"old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    write_all([NewFile.instead_of(tmp_path / "link", b"new")], replace=True)
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o640, os.geteuid())
