"""The local proxy as HAProxy's configuration: listeners, one pair of backends for each context, and the Lua beside them."""

from kubegate.model.plan import Process
from kubegate.model.proxy_plan import ProxyPlan
from kubegate.render.haproxy import ADMIN_SOCKET
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.local import backend, defaults, frontend, lua
from kubegate.render.haproxy.shape import Shape

__all__ = ["shape"]


def shape(plan: ProxyPlan, sockets: str) -> Shape:
    """What is rendered, taken apart; `sockets` is the folder of HAProxy's own sockets, ending in a slash."""
    draft = Draft()
    lua.draw(plan, draft)
    draft.section("global", defaults.global_lines(Process(plan.max_connections), f"{sockets}{ADMIN_SOCKET}"))
    draft.section("defaults", defaults.lines(plan.keepalive))
    for listener in plan.listeners:
        frontend.draw(listener, plan, draft)
    for target in plan.targets:
        backend.draw(target, plan, draft)
    backend.draw_own(plan, draft)
    return draft.shape()
