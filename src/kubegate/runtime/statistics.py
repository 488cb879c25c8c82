"""HAProxy's statistics as facts: which servers are up and why not, and how much is carried."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Statistics:
    """The rows of `show stat`, by section and name of server (or `BACKEND`)."""

    rows: Mapping[tuple[str, str], Mapping[str, str]]

    @classmethod
    def read(cls, text: str) -> "Statistics":
        """Read the CSV form (management guide 9.1)."""
        reader = csv.DictReader(io.StringIO(text.removeprefix("# ")))
        return cls({(row["pxname"], row["svname"]): row for row in reader})

    def carried(self, sections: Iterable[str]) -> int:
        """Requests and streams that these sections carry now."""
        return sum(_number(self.rows.get((section, "BACKEND"), {}), "scur") for section in sections)

    def servers(self, backend: Backend) -> Iterator[ServerStatus]:
        """The servers of a backend, those on their way out too."""
        declared = {f"{at.host}:{at.port}" for at in backend.servers}
        for (section, name), row in self.rows.items():
            if section == backend.name and name not in ("BACKEND", "FRONTEND"):
                carried = sum(_number(self.rows.get((one, name), {}), "scur") for one in names(backend))
                address = server_address(name)
                yield _server(address, row, carried, leaving="DRAIN" in row["status"] or address not in declared)


def _server(address: str, row: Mapping[str, str], carried: int, *, leaving: bool) -> ServerStatus:
    status, code = row["check_status"].removeprefix("* "), row["check_code"]
    up = row["status"].startswith(("UP", "no check"))
    state = "draining" if leaving else "up" if up else "down"
    unknown = up and code in ("401", "403")
    why = _WORDS.get(status, status)
    if unknown:
        why = f"answers, and does not say whether it is ready ({code} to /readyz without a credential)"
    elif code and status == "L7STS":
        why = f"{why} ({code} to /readyz)"
    elif row["last_chk"] and not up and status in ("SOCKERR", "L4CON", "L6RSP"):
        why = f"{why} ({row['last_chk']})"
    seconds = int(row["lastchg"]) if row["lastchg"].isdigit() else None
    return ServerStatus(
        address=address,
        state=state,
        why=why,
        readiness_known=up and not unknown and status == "L7OK",
        seconds=seconds,
        carried=carried,
    )


def _number(row: Mapping[str, str], column: str) -> int:
    text = row.get(column, "")
    return int(text) if text.isdigit() else 0
