"""`kubegate run`: the gate of a declared file."""

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kubegate.cli.console import NOTHING_STARTED, Output, errors_reported, say
from kubegate.cli.options import DEFAULT_FILE, ConfigFile, OutputAs

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate

SUMMARY = "Run the gate that a file declares, and keep it as the file says."
EXAMPLES = ("kubegate run -c kubegate.yaml", "kubegate check -c kubegate.yaml && kubegate run -c kubegate.yaml")

_GARBAGE_AFTER = 20_000


def command(config: ConfigFile = DEFAULT_FILE, output: OutputAs = Output.TEXT) -> None:
    """Run a declared gate."""
    with errors_reported(output, NOTHING_STARTED):
        asyncio.run(_run(config))


async def _run(file: Path) -> None:
    # Its services take a while to load, which other commands need not wait for.
    from kubegate.runtime.run import Gate
    from kubegate.runtime.signals import Stop
    from kubegate.runtime.upkeep import guarded

    # What is made while a gate opens stays: with many clusters, looking through it for garbage takes a second.
    gc.disable()
    hung_up = asyncio.Event()
    async with Stop(hangup=hung_up.set) as stop:
        gate = await stop.unless_asked(Gate.open(file, os.environ, say))
        if gate is None:
            say("stopped before the gate was open")
            return
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE_AFTER, 20, 20)
        gc.enable()
        async with gate:
            say(f"running; {gate.summary()}")
            hangups = asyncio.create_task(guarded("reloading", lambda: _reload_at(hung_up, gate), say))
            try:
                drained = await gate.serve(stop)
            finally:
                hangups.cancel()
        if stop.leave.is_set():
            say("ended; HAProxy goes on, and the next `kubegate run` takes it over")
        else:
            say("stopped" if drained else "stopped; what was still open was ended")


async def _reload_at(hung_up: asyncio.Event, gate: "Gate") -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await gate.reload()
