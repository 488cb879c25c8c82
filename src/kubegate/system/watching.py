"""Following files: any change of one of them, however it comes about, sets an event.

Watched are the folders of the files and of every link on the way to them: a rename, a link that is set anew (as in volumes that
Kubernetes projects), and a file that is written in place are all seen there (inotify(7)).
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from kubegate.system.files import FileState, state_of

# Where inotify cannot be had, and against events that got lost, the state of the files is compared this often.
_LOOK_SECONDS = 20.0
# A folder that is not there cannot be watched.
_LOOK_FOR_FOLDERS_SECONDS = 1.0
_COALESCE_MILLISECONDS = 50
_MOST_LINKS = 40
_Identity = tuple[int, int] | None


class Files:
    """Follows a set of files, which may be another one at any time; `changed` is set when one of them has changed."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        # By which one it is: another one of the same name is not watched yet.
        self._folders: dict[Path, _Identity] = {}
        self._state: dict[Path, FileState] = {}
        self._again = asyncio.Event()

    def follow(self, files: Mapping[Path, FileState]) -> None:
        """Follow these files from now on; in another state than this one they have changed."""
        known, self._state = self._state.keys(), dict(files)
        if known != files.keys():
            self._look_at_folders()

    def follow_too(self, files: Mapping[Path, FileState]) -> None:
        """Follow these files beside those that are followed already."""
        self.follow({**files, **self._state})

    def follows(self, file: Path) -> bool:
        """Whether this file is followed."""
        return file in self._state

    async def run(self) -> None:
        """Watch until cancelled."""
        await asyncio.gather(self._watch(), self._compare())

    async def _watch(self) -> None:
        # Only who follows files waits for it to be loaded.
        from anyio.to_thread import current_default_thread_limiter

        limiter = current_default_thread_limiter()
        # A watch has a thread for itself all the time, and there are forty for everybody.
        limiter.total_tokens += 1
        try:
            while True:
                await self._watch_folders()
        finally:
            limiter.total_tokens -= 1

    async def _watch_folders(self) -> None:
        """Watch the folders of now, until others are to be watched."""
        from watchfiles import awatch

        self._again.clear()
        present = [folder for folder, identity in self._folders.items() if identity is not None]
        if not present:
            await self._again.wait()
            return
        # What changed before the folders were watched: looked at as soon as they are.
        asyncio.get_running_loop().call_soon(self._notice)
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
            complete = all(self._folders.values())
            await asyncio.sleep(_LOOK_SECONDS if complete else _LOOK_FOR_FOLDERS_SECONDS)
            self._notice()

    def _notice(self) -> None:
        """Say that something has changed if one of the files has, and not only a neighbour of theirs."""
        state = {file: state_of(file) for file in self._state}
        changed, self._state = state != self._state, state
        if changed or any(_identity(folder) != identity for folder, identity in self._folders.items()):
            # A link may lead elsewhere now.
            self._look_at_folders()
        if changed:
            self.changed.set()

    def _look_at_folders(self) -> None:
        folders = {folder: _identity(folder) for folder in _folders_of(self._state)}
        if folders != self._folders:
            self._folders = folders
            self._again.set()


def _identity(folder: Path) -> _Identity:
    """Which folder it is, None if there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _folders_of(files: Iterable[Path]) -> frozenset[Path]:
    """The folders to watch for these files: most files are no links, and most stand beside one another."""
    found: set[Path] = set()
    plain: set[str] = set()
    for file in files:
        if os.path.islink(file):  # noqa: PTH114 - thousands of them are looked at again and again
            found |= _folders(file)
        else:
            plain.add(os.path.dirname(file))  # noqa: PTH120
    for folder in plain:
        found |= _folders(Path(folder) / "any")
    return frozenset(found)


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
