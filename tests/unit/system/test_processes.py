"""A pid is believed only with the start of its process, and only in the boot in which it was seen."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kubegate.system.processes import ProcessId


def test_this_process_lives() -> None:
    assert ProcessId.of(os.getpid()).alive()


def test_the_same_pid_at_another_time_or_boot_is_another_process() -> None:
    own = ProcessId.of(os.getpid())
    assert not replace(own, began=own.began + 1).alive()
    assert not replace(own, boot="another").alive()
    assert not replace(own, pid=2**22 + 1).alive()


def test_there_is_no_process_of_this_pid() -> None:
    with pytest.raises(OSError):
        ProcessId.of(2**22 + 1)


def test_it_is_remembered(tmp_path: Path) -> None:
    own, path = ProcessId.of(os.getpid()), tmp_path / "process.json"
    own.save(path)
    assert ProcessId.load(path) == own
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"pid": "x", "began": 1, "boot": ""}', b'{"pid": 1}'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "process.json"
    assert ProcessId.load(path) is None
    path.write_bytes(content)
    assert ProcessId.load(path) is None
