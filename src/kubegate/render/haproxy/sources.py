"""Who has which stream. HAProxy's list of sessions knows who dialled, which behind a hop or a load balancer is not the client.

So each stream stands in a table of its section for as long as it lives: which session it is, and the client's address.
"""

import re
from collections.abc import Iterable, Iterator

# What `show sess all` calls `id` (configuration manual 8.2.4), and where that is not to be had, what it calls `source`.
_HTTP_KEY = "%rt@%[src]"
_TCP_KEY = "%[fc_src]:%[fc_src_port]@%[src]"
_TABLE = "stick-table type string len 64 size 1m expire 10s"
_ENTRY = re.compile(r" key=(\S+)@(\S+) use=[1-9]")
_SESSION = re.compile(r"^(0x[0-9a-f]+): \[[^\]]*\] id=(\d+) \S+ source=(\S+)\n.*\n  frontend=.*\n  backend=(\S+) ", re.MULTILINE)


def lines(*, http: bool) -> list[str]:
    """Lines of a section whose streams are to be known."""
    kind, key = ("http-request", _HTTP_KEY) if http else ("tcp-request content", _TCP_KEY)
    return [_TABLE, f"{kind} set-var-fmt(txn.who) {key}", f"{kind} track-sc1 var(txn.who)"]


def read_sources(sessions: str, tables: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
    """Each session's handle, section, and client's address, None if nobody knows.

    Out of the answer to `show sess all`, and of those to `show table` of sections.
    """
    known = dict(entry for table in tables for entry in _ENTRY.findall(table))
    for handle, number, dialled, section in _SESSION.findall(sessions):
        yield handle, section, known.get(number, known.get(dialled))
