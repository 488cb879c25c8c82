"""The targets that a declaration can be rendered for, by the names that people type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubegate.model.plan import Plan
from kubegate.render import envoy, marathon, systemd
from kubegate.render.haproxy import standalone
from kubegate.render.keys import Refusals
from kubegate.render.targets import Options, Rendered


@dataclass(frozen=True, slots=True)
class Target:
    """One target: how it is called in sentences, how it is rendered, and the keys that it cannot express.

    `runs_kubegate` says that kubegate itself runs there: then API servers that do not answer now are no reason to refuse.
    `folder` is where its set is taken to be on the machine that uses it, where nothing else is said.
    """

    called: str
    render: Callable[[Plan, Options], Rendered]
    refused: Refusals = field(default_factory=dict)
    runs_kubegate: bool = False
    folder: str = ""


TARGETS: Mapping[str, Target] = {
    "haproxy": Target("a stand-alone HAProxy", standalone.render, standalone.REFUSED),
    "envoy": Target("Envoy", envoy.render, envoy.REFUSED),
    "marathon": Target("an HAProxy run by Marathon", marathon.render, marathon.REFUSED, folder=marathon.DEFAULT_FOLDER),
    "systemd": Target("a systemd unit", systemd.render, systemd.REFUSED, runs_kubegate=True),
}
