"""Who has which stream. HAProxy's list of sessions knows who dialled, which behind a hop or a load balancer is not the client.

So each stream stands in a table of its section for as long as it lives: the session's number and the client's address.
"""

import re
from collections.abc import Iterable, Iterator

# `%rt` is the number that `show sess all` calls `id` (configuration manual 8.2.4).
_KEY = "%rt@%[src]"
_TABLE = "stick-table type string len 64 size 1m expire 10s"
_ENTRY = re.compile(r" key=(\d+)@(\S+) use=[1-9]")
_SESSION = re.compile(r"^(0x[0-9a-f]+): \[[^\]]*\] id=(\d+) .*\n.*\n  frontend=.*\n  backend=(\S+) ", re.MULTILINE)


def lines(*, http: bool) -> list[str]:
    """Lines of a section whose streams are to be known."""
    kind = "http-request" if http else "tcp-request content"
    return [_TABLE, f"{kind} set-var-fmt(txn.who) {_KEY}", f"{kind} track-sc1 var(txn.who)"]


def read_sources(sessions: str, tables: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
    """Each session's handle, section, and client's address, None if nobody knows.

    Out of the answer to `show sess all`, and of those to `show table` of sections.
    """
    known = dict(entry for table in tables for entry in _ENTRY.findall(table))
    return ((handle, section, known.get(number)) for handle, number, section in _SESSION.findall(sessions))
