"""How a gate comes up: it takes over what runs, or starts as its file says, or, where that cannot be, as it last was."""

from typing import TYPE_CHECKING

from kubegate.errors import KubegateError
from kubegate.model.gatefile import Declaration
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.runtime import listening, plan_file
from kubegate.runtime.binary import NoHAProxy, find
from kubegate.runtime.dataplane import DataPlane
from kubegate.runtime.findings import Findings
from kubegate.runtime.process import HAProxy
from kubegate.system.processes import ProcessId

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate, Reading


async def open_gate(gate: "Gate") -> None:
    """Bring HAProxy up. Raises InvalidInput with every problem if nothing can run, or KubegateError."""
    reading = _choose(gate, gate.parse())
    gate.haproxy = HAProxy(gate.binary, gate.store, gate.news.haproxy, gate.launch.output)
    gate.data_plane = DataPlane(gate.binary, gate.store, gate.haproxy, gate.news.say)
    left = gate.store.take_over()
    if left is not None:
        # A failure from here on leaves HAProxy running: it serves.
        gate.leave = True
        gate.haproxy.adopt(left)
    folder = gate.store.running()
    if folder is not None and (before := plan_file.load(folder)[0]) is not None:
        gate.inputs.remember(before)
    reading = await gate.look(reading, fresh=False)
    if left is not None:
        await _take_over(gate, left, reading)
        gate.leave = False
    else:
        await _start(gate, reading)


def _choose(gate: "Gate", reading: "Reading") -> "Reading":
    """Find the HAProxy to run; one that is declared and cannot be used is a problem of the declaration."""
    if reading.declaration is None:
        gate.launch.recall()
    else:
        gate.launch.program = reading.declaration.config.data_plane.haproxy
    try:
        gate.binary = find(gate.launch.program)
    except NoHAProxy as error:
        if gate.launch.program is None:
            raise
        gate.binary = find()
        if reading.declaration is not None:
            where = reading.declaration.places.at("dataPlane", "haproxy")
            return reading.refused(Problem(where, "haproxy.unusable", error.message, error.hint))
    return reading


async def _start(gate: "Gate", reading: "Reading") -> None:
    problems = reading.problems
    if reading.declaration is not None and reading.gathered is not None:
        config = reading.declaration.config
        try:
            _check_addresses(reading.declaration)
            gate.launch.declare(config)
            gate.store.clear()
            await gate.data_plane.start(plan(config, reading.gathered.facts))
        except InvalidInput as error:
            problems = error.problems
        except KubegateError as error:
            if gate.store.last_good() is None:
                raise
            problems = (gate.trouble(error),)
        else:
            gate.settled(config, reading.gathered)
            return
    await _start_last(gate, problems)


def _check_addresses(declaration: Declaration) -> None:
    Findings(taken_addresses(declaration, None)).raise_if_any()


def taken_addresses(declaration: Declaration, running: Plan | None) -> list[Problem]:
    """Why nothing can listen at declared addresses; those at which the running plan listens are left out."""
    config, places = declaration.config, declaration.places
    declared = {places.at("listeners", number, "address"): one.address for number, one in enumerate(config.listeners)}
    if config.metrics is not None:
        declared[places.at("metrics", "address")] = config.metrics.address
    own = {*(front.listen for front in running.frontends), running.process.metrics} if running else set()
    return [found for where, at in declared.items() if at not in own for found in listening.address_problems(where, at)]


async def _start_last(gate: "Gate", problems: tuple[Problem, ...]) -> None:
    """Start what ran last. Raises InvalidInput with the problems if there is nothing, or if that cannot run either."""
    folder = gate.store.last_good()
    if folder is None:
        raise InvalidInput(problems)
    gate.launch.recall()
    gate.store.clear()
    try:
        unreadable = await gate.data_plane.start_as_it_was(folder)
    except KubegateError as error:
        message = f"what ran last cannot run either: {error.message}"
        last = Problem(str(folder), "gate.last-good", message, "mend the file; what is kept there is not needed then")
        raise InvalidInput((*problems, last)) from None
    gate.from_last_good = True
    as_it_is = f", which runs as it is ({unreadable})" if unreadable else ""
    gate.news.say(f"started from the last good configuration ({folder.name}{as_it_is}), for {gate.file} cannot be used")
    gate.refuse(problems)


async def _take_over(gate: "Gate", left: ProcessId, reading: "Reading") -> None:
    """Supervise what runs, and bring it to what is declared now."""
    plane = gate.data_plane
    unknown = await plane.take_over()
    how = f"; it is reloaded, for {unknown}" if unknown else f" (generation {plane.generation})"
    gate.news.say(f"taking over HAProxy {left.pid}, which an earlier kubegate left running{how}")
    if reading.declaration is not None and reading.gathered is not None:
        try:
            gate.launch.declare(reading.declaration.config)
        except KubegateError as error:
            gate.refuse((gate.trouble(error),))
            return
        await gate.bring_to(reading.declaration, reading.gathered)
        return
    gate.launch.recall()
    gate.refuse(reading.problems)
    known = plane.plan
    if unknown and known is not None:
        await gate.try_to_apply(lambda _: known)
