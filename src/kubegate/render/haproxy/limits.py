"""Who may come to a cluster, and how much at one time: rules of its backends, which look ranges and numbers up in files.

The numbers stand in a map and the ranges in an ACL file, so that the Runtime API can change them. Each worker counts what it
carries itself: after a reload the counts begin anew, beside what earlier workers still carry.
"""

from kubegate.model.plan import Backend
from kubegate.render.haproxy.draft import Draft
from kubegate.render.haproxy.errors import deny
from kubegate.render.haproxy.ranges import written
from kubegate.render.status_text import NOT_ALLOWED, TOO_MUCH_CARRIED

LIMITS_FILE = "limits.map"
# Requests are counted over ten seconds.
_WINDOW_SECONDS = 10


def ranges_file(backend: str) -> str:
    """The file of the source ranges that may come to a backend."""
    return f"{backend.replace(':', '_')}.ranges"


def rules(backend: Backend, draft: Draft) -> list[str]:
    """Rules of a section that sees HTTP."""
    found = [deny(403, NOT_ALLOWED, f"unless {_allowed(backend, draft)}")]
    numbers = draft.maps.setdefault(LIMITS_FILE, {}) if backend.max_carried or backend.requests_per_second else {}
    if backend.max_carried:
        numbers[backend.name] = str(backend.max_carried)
        found += [
            f"http-request set-var(txn.carried) be_conn({backend.name})",
            f"http-request set-var(txn.carried) be_conn({backend.name}:stream),add(txn.carried)",
            deny(
                429,
                TOO_MUCH_CARRIED,
                f"if {{ str({backend.name}),map_str_int({LIMITS_FILE}),sub(txn.carried) lt 0 }}",
            ),
        ]
    if backend.requests_per_second:
        rate = f"{backend.name}/requests"
        numbers[rate] = str(backend.requests_per_second * _WINDOW_SECONDS)
        found += [
            f"http-request track-sc0 src table {backend.name}",
            "http-request set-var(txn.asked) sc_http_req_rate(0)",
            deny(
                429,
                "too many requests from this address; wait a moment and try again",
                f"if {{ str({rate}),map_str_int({LIMITS_FILE}),sub(txn.asked) lt 0 }}",
            ),
        ]
    return found


def connection_rules(backend: Backend, draft: Draft) -> list[str]:
    """Rules of a section that sees connections only."""
    found = [f"tcp-request content reject unless {_allowed(backend, draft)}"]
    if backend.max_carried:
        draft.maps.setdefault(LIMITS_FILE, {})[backend.name] = str(backend.max_carried)
        found += [
            f"tcp-request content set-var(txn.carried) be_conn({backend.name})",
            f"tcp-request content reject if {{ str({backend.name}),map_str_int({LIMITS_FILE}),sub(txn.carried) lt 0 }}",
        ]
    return found


def table(backend: Backend) -> list[str]:
    """The table in which requests are counted by source address."""
    if not backend.requests_per_second:
        return []
    return [f"stick-table type ipv6 size 100k expire {2 * _WINDOW_SECONDS}s store http_req_rate({_WINDOW_SECONDS}s)"]


def _allowed(backend: Backend, draft: Draft) -> str:
    file = ranges_file(backend.name)
    draft.ranges[file] = written(backend.allow)
    return f"{{ src -f {file} }}"
