"""Following files by inotify: what is noticed, and how soon."""

import asyncio
import time
from pathlib import Path

from kubegate.system.files import state_of
from kubegate.system.watching import Files


def follow(*files: Path) -> Files:
    found = Files()
    found.follow({file: state_of(file) for file in files})
    return found


def test_many_watches_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(60)]
    for path in paths:
        path.mkdir()
        (path / "file").touch()

    async def play() -> float:
        watches = [follow(path / "file") for path in paths]
        running = [asyncio.create_task(watch.run()) for watch in watches]
        await asyncio.sleep(1.5)
        began = time.monotonic()
        (paths[-1] / "file").write_text("changed")
        async with asyncio.timeout(10):
            await watches[-1].changed.wait()
        took = time.monotonic() - began
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return took

    assert asyncio.run(play()) < 2


def test_what_changed_before_the_watch_began(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")

    async def play() -> None:
        watch = follow(file)
        file.write_text("another")
        running = asyncio.create_task(watch.run())
        async with asyncio.timeout(2):
            await watch.changed.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())
