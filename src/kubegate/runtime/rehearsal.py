"""What a file would change in a gate that runs. Only the gate itself knows: which places clusters hold, what it may open, whom it
has seen. Nothing is changed."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kubegate.model.difference import differences
from kubegate.model.gate_status import Rehearsal
from kubegate.model.plan import Plan
from kubegate.model.planner import plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.model.status import Remark
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import shape
from kubegate.render.haproxy.live import change
from kubegate.render.haproxy.narrow import narrowing
from kubegate.runtime.binary import Binary
from kubegate.runtime.generation import Refused, Store
from kubegate.runtime.reading import read_file

if TYPE_CHECKING:
    from kubegate.runtime.run import Gate


async def rehearse(gate: "Gate", file: Path, shown: str, *, keys: bool) -> Rehearsal:
    """What would come of `file`, which people know as `shown`, in the place of the gate's own. Raises InvalidInput."""
    declaration = read_file(file, shown)
    async with gate.changing:
        gathered = await gate.inputs.apart().gather(declaration)
        plane = gate.data_plane
        before, drawn = plane.plan, plane.drawn
        wanted = plan(declaration.config, gathered.facts, before)
        target = shape(wanted, gate.store.sockets)
        live = change(drawn, target) if drawn is not None and plane.certain else None
        if live is None:
            wanted = plan(declaration.config, gathered.facts)
            target = shape(wanted, gate.store.sockets)
            await asyncio.to_thread(accepted, target.bundle(), gate.binary, shown)
        elif live.is_empty and drawn is not None:
            target = drawn
        ended, at_bound = await _streams(gate, wanted, reload=live is None)
    return Rehearsal(
        changes=differences(before, wanted) if before is not None else (),
        reload=live is None,
        streams_ended=ended,
        streams_at_bound=at_bound,
        warnings=tuple(
            Remark(code=one.code, message=_told(one), hint=one.hint) for one in gathered.warnings if one not in gate.warnings
        ),
        files=target.bundle().texts(keys=keys),
    )


def accepted(bundle: Bundle, binary: Binary, shown: str) -> None:
    """See that HAProxy accepts a bundle. Raises InvalidInput."""
    with tempfile.TemporaryDirectory(prefix="kubegate-") as folder:
        try:
            Store(Path(folder)).accept(bundle, binary)
        except Refused as error:
            raise InvalidInput([Problem(shown, "haproxy.refused", error.message, error.hint)]) from None


async def _streams(gate: "Gate", wanted: Plan, *, reload: bool) -> tuple[int, int]:
    """How many requests and streams end because less is allowed, and how many more because there are too many old workers."""
    plane = gate.data_plane
    ended = at_bound = 0
    try:
        workers = await plane.workers.all()
        oldest = (await plane.workers.old())[:1] if reload else []
        too_many = sum(not worker.current for worker in workers) >= plane.old_workers.bounds.old_workers
        for worker in workers:
            usual = (plane.plan,) if plane.plan else ()
            known = usual if worker.current else plane.plans.of(worker.pid) or usual
            takes_new = worker.current and not reload
            whole = [narrowing(one, wanted) for one in known]
            ending = {handle for one in whole for handle in await plane.workers.ending(worker, one, takes_new=takes_new)}
            ended += len(ending)
            if too_many and worker in oldest:
                at_bound += sum(one.handle not in ending for one in await plane.workers.sessions(worker))
    except (OSError, TimeoutError):
        # It does not answer at this moment, and carries nothing that could be counted.
        return ended, at_bound
    return ended, at_bound


def _told(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}" if problem.where else problem.message
