"""Who has which stream. HAProxy's list of sessions knows who dialled, which behind a hop or a load balancer is not the client.

So each stream stands in a table of its section for as long as it lives: which session it is, and the client's address.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# What `show sess all` calls `id` (configuration manual 8.2.4), and where that is not to be had, what it calls `source`.
_HTTP_KEY = "%rt@%[src]"
_TCP_KEY = "%[fc_src]:%[fc_src_port]@%[src]"
_TABLE = "stick-table type string len 64 size 1m expire 10s"
_ENTRY = re.compile(r" key=(\S+)@(\S+) use=[1-9]")
_SESSION = re.compile(
    r"^(0x[0-9a-f]+): \[[^\]]*\] id=(\d+) \S+ source=(\S+)\n.*\n  frontend=(\S+) .*\n  backend=(\S+) ", re.MULTILINE
)


def lines(*, http: bool) -> list[str]:
    """Lines of a section whose streams are to be known."""
    kind, key = ("http-request", _HTTP_KEY) if http else ("tcp-request content", _TCP_KEY)
    return [_TABLE, f"{kind} set-var-fmt(txn.who) {key}", f"{kind} track-sc1 var(txn.who)"]


class Carried(NamedTuple):
    """A request or stream: its handle, the sections of its listener and its servers, its client's address if that is known.

    `certificate` is the fingerprint of the client certificate by which a stream was let in.
    """

    handle: str
    frontend: str
    section: str
    source: str | None
    certificate: str | None = None


def read_sources(sessions: str, tables: Iterable[str], holders: Iterable[str] = ()) -> Iterator[Carried]:
    """What is carried, out of the answer to `show sess all`, and of those to `show table` of sections and of listeners."""
    known = dict(entry for table in tables for entry in _ENTRY.findall(table))
    certificates = dict(entry for table in holders for entry in _ENTRY.findall(table))
    for handle, number, dialled, frontend, section in _SESSION.findall(sessions):
        yield Carried(handle, frontend, section, known.get(number, known.get(dialled)), certificates.get(number))
