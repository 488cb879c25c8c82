"""A declaration tried without being run: checked, rendered, compared with what runs. Changes nothing that lasts."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.model.difference import differences
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import render, shape
from kubegate.render.haproxy.live import change
from kubegate.render.haproxy.narrow import narrowing
from kubegate.runtime import control_client, plan_file
from kubegate.runtime.binary import find
from kubegate.runtime.control_client import NotRunning
from kubegate.runtime.gate_folders import folders_of
from kubegate.runtime.generation import Refused, Store
from kubegate.runtime.inputs import Gathered, Inputs
from kubegate.runtime.run import read_file
from kubegate.runtime.workers import Workers


@dataclass(frozen=True, slots=True)
class Trial:
    """What a file would run: its plan and files, warnings, and how many clusters and servers it has."""

    plan: Plan
    bundle: Bundle
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would change: sentences, whether HAProxy has to be reloaded, and how many open streams would end."""

    changes: tuple[str, ...]
    reload: bool
    streams_ended: int


async def try_out(file: Path, environ: Mapping[str, str]) -> Trial:
    """Parse, look at everything, plan, render, and let HAProxy check it. Raises InvalidInput with every problem."""
    gathered, wanted, sockets = await _planned(file, environ)
    bundle = render(wanted, sockets)
    declaration = read_file(file)
    binary = find(declaration.config.data_plane.haproxy)
    with tempfile.TemporaryDirectory(prefix="kubegate-check-") as folder:
        try:
            Store(Path(folder)).accept(bundle, binary)
        except Refused as error:
            raise InvalidInput([Problem(str(file), "haproxy.refused", error.message, error.hint)]) from None
    return Trial(wanted, bundle, gathered.warnings)


async def compare(file: Path, environ: Mapping[str, str]) -> Comparison:
    """What `file` would change in the gate that runs by it. Raises InvalidInput, or NotRunning."""
    folders = folders_of(file, environ)
    control_client.status(file, environ)
    store = Store(folders.run, folders.kept)
    folder = store.running()
    before, why = plan_file.load(folder) if folder else (None, "it has no generation")
    if before is None:
        raise NotRunning(f"what runs cannot be read: {why}")
    gathered, _, sockets = await _planned(file, environ)
    config = read_file(file).config
    live = plan(config, gathered.facts, before)
    steps = change(shape(before, sockets), shape(live, sockets))
    ends = narrowing(before, live)
    workers = Workers(store.master_socket, lambda: store.admin_socket)
    ended = 0
    if ends.ends:
        for worker in await workers.all():
            ended += len(await workers.ending(worker, ends))
    return Comparison(differences(before, live), steps is None, ended)


async def _planned(file: Path, environ: Mapping[str, str]) -> tuple[Gathered, Plan, str]:
    declaration = read_file(file)
    gathered = await Inputs(environ).gather(declaration, fresh=True)
    return gathered, plan(declaration.config, gathered.facts), f"{folders_of(file, environ).run}/"
