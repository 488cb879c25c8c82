"""The filters of the local proxy as HAProxy's rules: an ordinary request meets two or three plain string conditions and passes.

The conditions are necessary ones: what meets them, the filters let pass without any doubt. They look at bytes that came as such,
never at decoded ones, and only where these have one reading: no escape, no `//`, no segment that begins with a dot. HAProxy takes
no NUL and no control character in a path or a Host, and an ASCII string is found in bytes as Go finds it in characters. Whatever
does not meet them is decided by Lua, exactly where it can, and by Python where it cannot; what nobody decided is refused at the
end, for a Lua error lets the rules go on.
"""

from collections.abc import Iterable
from dataclasses import replace

from kubegate.model.filters import ANY, DeniedResource, Filters
from kubegate.model.patterns import Sequence, read_pattern
from kubegate.render.haproxy.errors import body
from kubegate.render.haproxy.local.script import VERDICTS_FILE, script
from kubegate.render.haproxy.text import quote

__all__ = ["LUA_FILE", "VERDICTS_FILE", "global_lines", "lua", "rules"]

LUA_FILE = "filters.lua"

_PATH = "var(txn.path)"
_HOST = "var(txn.host),host_only"
_DECIDED = "{ var(txn.passes) -m bool }"
_UNDECIDED = "the proxy could not decide about this request; its log says why"

# A path with one of these may be another one to Go, to Python or to the API server.
_ODD = ("%", "//", "/.")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_READING = ("GET", "HEAD")
_API_ROOTS = ("/api/", "/apis/", "/openapi/")
_OPEN_DOORS = ("/exec", "/attach", "/portforward", "/proxy")
_HOST_BYTES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_LOOPBACK6 = "[::1]"
_SHORT = 4


def rules(filters: Filters) -> list[str]:
    """Rules for a section before which `txn.path` (as it came, prefixes off) and `txn.host` (the Host, as it came) are set.

    What may pass goes on; everything else is answered here: 403 and 400 as a Status that names the rule, 503 where nobody could
    decide.
    """
    quick = _quick(filters)
    return [
        *([f"http-request set-var(txn.passes) bool(true) if {' '.join(quick)}"] if quick is not None else []),
        f"http-request lua.kubegate_filter unless {_DECIDED}",
        f"http-request return status 503 {body(503, _UNDECIDED)} hdr Connection close unless {_DECIDED}",
    ]


def global_lines(lua_file: str = LUA_FILE) -> list[str]:
    """What the rules need in the `global` section. A question that fails is not put again: it would wait up to four times."""
    return [f"lua-load-per-thread {lua_file}", "httpclient.retries 0", "httpclient.timeout.connect 1s"]


def lua(ask_socket: str, filters: Filters) -> str:
    """The text of the file `LUA_FILE`: what the rules leave open. `ask_socket` is the path of the decider's unix socket."""
    return script(filters, ask_socket)


def _quick(filters: Filters) -> list[str] | None:
    """Conditions which all hold only for a request that may pass; None if there can be none."""
    if filters.disabled:
        everything = (read_pattern(""),)
        filters = replace(filters, accept_hosts=everything, accept_paths=everything, reject_paths=(), reject_methods=())
    guards, unwanted = _guards(filters), _rejecting(filters)
    methods, accepted = _methods(filters), _accepted(filters)
    if guards is None or unwanted is None or methods is None or accepted is None:
        return None
    words, conditions = guards
    unwanted.add("sub", words)
    # Without it, a path that nobody has set would have none of the strings.
    return [f"{{ {_PATH} -m found }}", *unwanted.none(), *methods, *conditions, *accepted]


def _rejecting(filters: Filters) -> "_Strings | None":
    """Strings of which a path has none that no pattern rejects, and that has one reading; None if any path could be rejected."""
    found = _Strings()
    found.add("sub", _ODD)
    for one in (pattern.sequence for pattern in filters.reject_paths):
        if one is None or one.matches_all:
            return None
        found.add(*_necessary(one))
    # To patterns the root is the empty text, which matters where it is not what all others are to them.
    everything = any(one.sequence and one.sequence.matches_all for one in filters.accept_paths)
    if not everything or any(one.sequence and one.sequence.matches_empty_only for one in filters.reject_paths):
        found.add("str", ["/"])
    return found


def _methods(filters: Filters) -> list[str] | None:
    """A condition by which no pattern rejects the method, if there has to be one; None if any could be rejected."""
    sequences = [one.sequence for one in filters.reject_methods]
    if not filters.read_only and all(one and one.matches_empty_only for one in sequences):
        return []
    known = _READING if filters.read_only else _METHODS
    methods = [method for method in known if not any(one is None or one.matches(method) for one in sequences)]
    return [f"{{ method {' '.join(methods)} }}"] if methods else None


def _accepted(filters: Filters) -> list[str] | None:
    """Conditions by which the accepting lists fit; None if plain strings cannot say so."""
    paths = [one.sequence for one in filters.accept_paths if one.sequence is not None]
    found: list[str] = []
    if not any(one.matches_all for one in paths):
        # Conditions of one kind only, for those of several kinds cannot be joined by "or" within one rule.
        strings = _Strings()
        for one in paths:
            if len(one.parts) == 1:
                strings.add(*_necessary(one))
        condition = strings.most()
        if condition is None:
            return None
        found.append(condition)
    hosts = [one.sequence for one in filters.accept_hosts if one.sequence is not None]
    if not any(one.matches_all for one in hosts):
        names = [name for one in hosts if (name := _plain_host(one))]
        if not names:
            return None
        found.append(f"{{ {_HOST} -m str -- {_words(names)} }}")
    return found


def _plain_host(sequence: Sequence) -> str:
    """The one host that a pattern fits, if HAProxy and Go take the same Host headers for it; else nothing."""
    if not (sequence.begins and sequence.ends and len(sequence.parts) == 1):
        return ""
    [name] = sequence.parts
    return name if name == _LOOPBACK6 or _HOST_BYTES.issuperset(name) else ""


def _guards(filters: Filters) -> tuple[list[str], list[str]] | None:
    """Strings that a path may not have, and other conditions, so that no rule about resources refuses; None if nothing is so."""
    if not filters.guarded:
        return [], []
    words = ["\\", *(_OPEN_DOORS if filters.read_only else ())]
    for denied in filters.deny:
        word = _telling(denied)
        if not word:
            return None
        words.append(word)
    conditions = [f"{{ {_PATH} -m beg -- {_words(_API_ROOTS)} }}"]
    return words, [*conditions, "!{ req.fhdr(upgrade) -m found }"] if filters.read_only else conditions


def _telling(denied: DeniedResource) -> str:
    """What the path of each request for a denied resource has in it; empty if there is nothing."""
    if denied.resource != ANY:
        return f"/{denied.resource}"
    if denied.subresource:
        return f"/{denied.subresource}"
    return f"/{denied.group}/" if denied.group else ""


def _necessary(sequence: Sequence) -> tuple[str, list[str]]:
    """What a text has that matches, as a kind of HAProxy's string match and strings; exactly that if there is one part."""
    if len(sequence.parts) == 1:
        kind = {(False, False): "sub", (True, False): "beg", (False, True): "end", (True, True): "str"}
        return kind[sequence.begins, sequence.ends], list(sequence.parts)
    if not sequence.parts:
        return "len", ["0"]
    # The last one tells the most: what comes before it is mostly the way there.
    last = sequence.parts[-1]
    return "sub", [last if len(last) >= _SHORT else max(sequence.parts, key=len)]


class _Strings:
    """Strings by the kind of HAProxy's match that finds them in the path."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, None]] = {}

    def add(self, kind: str, strings: Iterable[str]) -> None:
        self._kinds.setdefault(kind, {}).update(dict.fromkeys(strings))

    def none(self) -> list[str]:
        """Conditions by which the path has none of them."""
        return [f"!{_condition(kind, strings)}" for kind, strings in self._kinds.items()]

    def most(self) -> str | None:
        """The condition by which the path has one of them, of the kind that has the most strings."""
        if not self._kinds:
            return None
        return _condition(*max(self._kinds.items(), key=lambda kind: len(kind[1])))


def _condition(kind: str, strings: Iterable[str]) -> str:
    return f"{{ {_PATH} -m {kind} -- {_words(strings)} }}"


def _words(strings: Iterable[str]) -> str:
    return " ".join(quote(one) for one in strings)
