"""The HAProxy target: the only code that knows HAProxy's syntax. One module for each section of the file."""

from kubegate.model.plan import Plan
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import backend, defaults, frontend, global_, metrics
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.listened import listened
from kubegate.render.haproxy.shape import CONFIG_FILE, Shape

__all__ = ["ADMIN_SOCKET", "CONFIG_FILE", "Shape", "render", "shape"]

ADMIN_SOCKET = "admin.sock"


def render(plan: Plan, sockets: str = "") -> Bundle:
    """The files of one generation: `haproxy.cfg` and what it names, relative to the folder HAProxy is started in.

    `sockets` is the folder of HAProxy's own sockets, ending in a slash; empty for the generation's folder.
    """
    return shape(plan, sockets).bundle()


def shape(plan: Plan, sockets: str = "") -> Shape:
    """The same, taken apart."""
    draft = Draft()
    hops = any(front.hops for front in plan.frontends)
    resumes = all(front.clients is None for front in plan.frontends)
    draft.section("global", global_.lines(plan.process, f"{sockets}{ADMIN_SOCKET}", hops=hops, resumes=resumes))
    draft.section("defaults", defaults.lines())
    for front in plan.frontends:
        frontend.draw(front, plan, draft, sockets)
    for one in plan.backends:
        backend.draw(one, draft)
    if plan.process.metrics is not None:
        metrics.draw(listened(plan.process.metrics, plan), draft, sockets)
    return draft.shape()
