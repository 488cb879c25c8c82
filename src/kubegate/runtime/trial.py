"""A declaration tried without being run: read, looked at, planned, rendered, and shown to HAProxy. Changes nothing that lasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import Problem
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import render, shape
from kubegate.render.haproxy.live import change
from kubegate.runtime import plan_file
from kubegate.runtime.binary import Binary, NoHAProxy, find
from kubegate.runtime.findings import Findings
from kubegate.runtime.gate_folders import folders_of
from kubegate.runtime.generation import Store
from kubegate.runtime.inputs import Inputs
from kubegate.runtime.reading import read_file
from kubegate.runtime.rehearsal import accepted

_ANOTHER = "name another one, or leave it out: then the embedded one runs, or a newer one of this machine"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a file would run: its plan and files, by which HAProxy, and warnings."""

    plan: Plan
    bundle: Bundle
    binary: Binary
    warnings: tuple[Problem, ...]


def left_running(file: Path, environ: Mapping[str, str]) -> Plan | None:
    """The plan of the HAProxy that a killed gate of this file left running, which the next one goes on with."""
    folders = folders_of(file, environ)
    store = Store(folders.run, folders.kept)
    folder = store.running() if store.leftover() else None
    return plan_file.load(folder)[0] if folder else None


async def try_out(file: Path, environ: Mapping[str, str], running: Plan | None = None) -> Trial:
    """Try a file out in the place of what runs, if anything does. Raises InvalidInput with every problem, or KubegateError."""
    declaration = read_file(file)
    findings = Findings([])
    program = declaration.config.data_plane.haproxy
    try:
        binary = find(program)
    except NoHAProxy as error:
        if program is None:
            raise
        findings.problems.append(
            Problem(declaration.places.at("dataPlane", "haproxy"), "haproxy.unusable", error.message, _ANOTHER)
        )
    with findings.also():
        gathered = await Inputs(environ, lasting=False).gather(declaration, fresh=True)
    findings.raise_if_any()
    sockets = f"{folders_of(file, environ).run}/"
    wanted = plan(declaration.config, gathered.facts, running)
    if running is not None and change(shape(running, sockets), shape(wanted, sockets)) is None:
        wanted = plan(declaration.config, gathered.facts)
    bundle = render(wanted, sockets)
    accepted(bundle, binary, str(file))
    return Trial(wanted, bundle, binary, gathered.warnings)
