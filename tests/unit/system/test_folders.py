"""Where things are kept: systemd's folders first, then those of XDG, then what every user has. Nothing is made."""

import os
from pathlib import Path

import pytest

from kubegate.system.folders import NoFolder, runtime_folder, state_folder


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"RUNTIME_DIRECTORY": "/run/gate"}, "/run/gate"),
        ({"RUNTIME_DIRECTORY": "/run/gate:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/gate"),
        ({"XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/kubegate"),
    ],
)
def test_the_runtime_folder(environ: dict[str, str], folder: str) -> None:
    assert runtime_folder(environ) == Path(folder)


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "relative"}])
def test_without_any_the_runtime_folder_is_that_of_the_system(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runtime_folder(environ) == Path("/run/kubegate")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert runtime_folder(environ) == Path("/tmp/kubegate-1234")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/gate:/x", "XDG_STATE_HOME": "/s"}, "/var/lib/gate"),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/kubegate"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/kubegate"),
        ({"HOME": "/h"}, "/h/.local/state/kubegate"),
    ],
)
def test_the_state_folder(environ: dict[str, str], folder: str) -> None:
    assert state_folder(environ) == Path(folder)


def test_a_user_without_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(NoFolder, match="no home folder"):
        state_folder({})


def test_relative_folders_of_systemd_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert state_folder({"STATE_DIRECTORY": "here"}) == tmp_path / "here"
    assert runtime_folder({"RUNTIME_DIRECTORY": "here"}) == tmp_path / "here"
