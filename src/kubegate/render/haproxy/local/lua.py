"""The Lua beside the configuration: what asks Python in the middle of a request."""

from kubegate.model.proxy_plan import ProxyPlan
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.local import filters

UNAUTHORIZED_FILE = "unauthorized.lua"
# Longer than Python itself waits for a new credential, so that the answer is its own.
_HOLD_MILLISECONDS = 25_000

_UNAUTHORIZED = """\
-- An answer 401 waits until Python has tried to renew the credential of its context, and then goes on as it is.
local asked = {{dst = "unix@{socket}", timeout = {milliseconds}}}

core.register_action("unauthorized", {{"http-res"}}, function(txn, key)
  local client = core.httpclient()
  client:post{{
    url = "http://kubegate/unauthorized",
    dst = asked.dst,
    timeout = asked.timeout,
    headers = {{["content-type"] = {{"application/json"}}}},
    body = '{{"cluster":"' .. key .. '"}}',
  }}
end, 1)
"""


def draw(plan: ProxyPlan, draft: Draft) -> None:
    """The files of a plan."""
    draft.extras[filters.LUA_FILE] = filters.lua(plan.ask_socket, plan.filters).encode()
    draft.maps[filters.VERDICTS_FILE] = {}
    draft.extras[UNAUTHORIZED_FILE] = _UNAUTHORIZED.format(socket=plan.ask_socket, milliseconds=_HOLD_MILLISECONDS).encode()
