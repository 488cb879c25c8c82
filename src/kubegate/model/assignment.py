"""Places: which backend a cluster has. Backends cannot be added while HAProxy runs, so some wait for clusters to come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubegate.model.plan import Backend, Plan


@dataclass(frozen=True, slots=True)
class Place:
    """A backend and the cluster that has it, None if nobody has. `before` is what stands there in the running plan."""

    backend: str
    cluster: str | None
    before: Backend | None = None

    def vacant(self, usual: Backend) -> Backend:
        """The backend without a cluster: it serves nobody, and keeps what only a reload could change, `usual` at first."""
        if self.before is None:
            return replace(usual, name=self.backend)
        return replace(
            self.before,
            servers=(),
            verification=None,
            cluster=None,
            allow=() if self.before.cluster else self.before.allow,
        )


def assign(clusters: Sequence[str], running: Plan | None, spare: int) -> list[Place]:
    """A place for each cluster, in the order of the running plan's, or afresh if these do not suffice."""
    if running is not None:
        declared = frozenset(clusters)
        held = {backend.cluster for backend in running.backends if backend.cluster in declared}
        new = [name for name in clusters if name not in held]
        free = [backend.name for backend in running.backends if backend.cluster is None]
        # A place that was left keeps the settings of who left it; those that were always free come first.
        free.sort(key=lambda name: not name.startswith("spare:"))
        if len(new) <= len(free):
            taken = dict(zip(free, new, strict=False))
            return [Place(one.name, one.cluster if one.cluster in held else taken.get(one.name), one) for one in running.backends]
    return [Place(name, name) for name in clusters] + [Place(f"spare:{number}", None) for number in range(1, spare + 1)]
