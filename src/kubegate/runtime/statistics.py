"""HAProxy's statistics as facts: which servers are up and why not, and how much is carried."""

import csv
import io
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kubegate.model.gate_status import ServerStatus
from kubegate.model.plan import Backend
from kubegate.render.haproxy.backend import names, server_address

_WORDS = {
    "L4OK": "accepts connections",
    "L4TOUT": "does not accept a connection in time",
    "L4CON": "accepts no connection",
    "L6OK": "answers",
    "L6TOUT": "the TLS handshake takes too long",
    "L6RSP": "the TLS handshake fails: it does not prove that it is this cluster's API server, or speaks no TLS",
    "L7OK": "answers",
    "L7OKC": "answers",
    "L7TOUT": "does not answer /readyz in time",
    "L7RSP": "its answer to /readyz is not HTTP",
    "L7STS": "is not ready",
    "SOCKERR": "cannot be dialled from here",
    "INI": "not checked yet",
    "UNK": "not checked yet",
    "": "not checked",
}


class Row(NamedTuple):
    """What is used of the hundred columns of a row."""

    pxname: str
    svname: str
    scur: str
    status: str
    lastchg: str
    check_status: str
    check_code: str
    last_chk: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """The rows of `show stat`, by section, and within it by the name of the server (or `BACKEND`)."""

    rows: Mapping[str, Mapping[str, Row]]

    @classmethod
    def read(cls, text: str) -> "Statistics":
        """Read the CSV form (management guide 9.1)."""
        reader = csv.reader(io.StringIO(text.removeprefix("# ")))
        header = next(reader, [])
        found: dict[str, dict[str, Row]] = {}
        if header:
            pick = operator.itemgetter(*(header.index(column) for column in Row._fields))
            for line in filter(None, reader):
                row = Row(*pick(line))
                found.setdefault(row.pxname, {})[row.svname] = row
        return cls(found)

    def carried(self, sections: Iterable[str]) -> int:
        """Requests and streams that these sections carry now."""
        return sum(self._carried(section, "BACKEND") for section in sections)

    def _carried(self, section: str, name: str) -> int:
        row = self.rows.get(section, {}).get(name)
        return int(row.scur) if row is not None and row.scur.isdigit() else 0

    def servers(self, backend: Backend) -> Iterator[ServerStatus]:
        """The servers of a backend, those on their way out too."""
        declared = {f"{at.host}:{at.port}" for at in backend.servers}
        for name, row in self.rows.get(backend.name, {}).items():
            if name not in ("BACKEND", "FRONTEND"):
                carried = sum(self._carried(section, name) for section in names(backend))
                address = server_address(name)
                yield _server(address, row, carried, leaving="DRAIN" in row.status or address not in declared)


def _server(address: str, row: Row, carried: int, *, leaving: bool) -> ServerStatus:
    status, code = row.check_status.removeprefix("* "), row.check_code
    up = row.status.startswith(("UP", "no check"))
    state = "draining" if leaving else "up" if up else "down"
    unknown = up and code in ("401", "403")
    why = _WORDS.get(status, status)
    if unknown:
        why = f"answers, and does not say whether it is ready ({code} to /readyz without a credential)"
    elif code and status == "L7STS":
        why = f"{why} ({code} to /readyz)"
    elif row.last_chk and not up and status in ("SOCKERR", "L4CON", "L6RSP"):
        why = f"{why} ({row.last_chk})"
    seconds = int(row.lastchg) if row.lastchg.isdigit() else None
    return ServerStatus(
        address=address,
        state=state,
        why=why,
        readiness_known=up and not unknown and status == "L7OK",
        seconds=seconds,
        carried=carried,
    )
