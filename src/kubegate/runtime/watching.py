"""Following files: any change of one of them, however it comes about, sets an event.

Watched are the folders of the files and of every link on the way to them: a rename, a link that is set anew (as in volumes that
Kubernetes projects), and a file that is written in place are all seen there (inotify(7)).
"""

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

# Where inotify cannot be had, and against events that got lost, the state of the files is compared this often.
_LOOK_SECONDS = 20.0
_COALESCE_MILLISECONDS = 50
_MOST_LINKS = 40


class Files:
    """Follows a set of files, which may be another one at any time; `changed` is set when one of them has changed."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._files: frozenset[Path] = frozenset()
        self._folders: frozenset[Path] = frozenset()
        self._state: dict[Path, tuple[int, int, int]] = {}
        self._again = asyncio.Event()

    def follow(self, files: Iterable[Path]) -> None:
        """Follow these files from now on."""
        self._files = frozenset(files)
        folders = frozenset(folder for file in self._files for folder in _folders(file))
        self._state = self._look()
        if folders != self._folders:
            self._folders = folders
            self._again.set()

    def follows(self, file: Path) -> bool:
        """Whether this file is followed."""
        return file in self._files

    async def run(self) -> None:
        """Watch until cancelled."""
        await asyncio.gather(self._watch(), self._compare())

    async def _watch(self) -> None:
        # Only who follows files waits for it to be loaded.
        from watchfiles import awatch

        while True:
            self._again.clear()
            present = [folder for folder in self._folders if folder.is_dir()]
            if not present:
                await self._again.wait()
                continue
            with contextlib.suppress(OSError, RuntimeError):
                async for _ in awatch(
                    *present,
                    recursive=False,
                    step=_COALESCE_MILLISECONDS,
                    debounce=200,
                    stop_event=self._again,
                    watch_filter=None,
                ):
                    self._notice()
            if not self._again.is_set():
                await asyncio.sleep(1)

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._notice()

    def _notice(self) -> None:
        """Say that something has changed if one of the files has, and not only a neighbour of theirs."""
        state = self._look()
        if state == self._state:
            return
        self._state = state
        # A link may lead elsewhere now.
        folders = frozenset(folder for file in self._files for folder in _folders(file))
        if folders != self._folders:
            self._folders = folders
            self._again.set()
        self.changed.set()

    def _look(self) -> dict[Path, tuple[int, int, int]]:
        found = {}
        for file in self._files:
            try:
                stat = file.stat()
                found[file] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            except OSError:
                found[file] = (0, 0, 0)
        return found


def _folders(file: Path) -> set[Path]:
    """The folders in which a file, or a link on the way to it, can be replaced."""
    found: set[Path] = set()
    waiting = [Path(os.path.abspath(file))]  # noqa: PTH100
    for _ in range(_MOST_LINKS):
        if not waiting:
            break
        path = waiting.pop()
        found.add(path.parent)
        for part in (path, *path.parents):
            if part.is_symlink():
                found.add(part.parent)
                target = Path(os.path.normpath(part.parent / part.readlink()))
                waiting.append(target / path.relative_to(part) if part != path else target)
                break
    return found
