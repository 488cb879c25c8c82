"""Shape: a rendered gate, taken apart into what only a reload can change and what the Runtime API can change while it runs."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kubegate.render.bundle import Bundle
from kubegate.render.haproxy.text import section

CONFIG_FILE = "haproxy.cfg"


@dataclass(frozen=True, slots=True)
class Server:
    """A server line: `fixed` names address and TLS, `checks` is what servers of the file take from their section's defaults."""

    fixed: str
    checks: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the file, without its servers; `backend` names the one whose servers stand at its end."""

    head: str
    lines: tuple[str, ...]
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that is rendered. Files by their relative names.

    `servers` are those of each backend, by name, which says all that is in `fixed`: a server never changes, it goes and another
    one comes. `certificates` are keys with their chains, `lists` the crt-lists with one line for each certificate file after the
    first, `authorities` CA bundles, `maps` and `ranges` (of source addresses) what the rules look things up in. `pairs` are
    certificates of clients with their keys, named by their content; `extras` files whose change is a reload.
    """

    sections: tuple[Section, ...]
    servers: Mapping[str, Mapping[str, Server]]
    certificates: Mapping[str, bytes] = field(repr=False)
    lists: Mapping[str, tuple[str, Mapping[str, str]]]
    authorities: Mapping[str, bytes] = field(repr=False)
    maps: Mapping[str, Mapping[str, str]]
    ranges: Mapping[str, tuple[str, ...]]
    pairs: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    extras: Mapping[str, bytes] = field(default_factory=dict)

    def static(self) -> str:
        """What only a reload can change: the sections, which lookup files there are, and the first certificate of each list."""
        files = [
            *sorted(self.maps),
            *sorted(self.ranges),
            *(f"{name} {first}" for name, (first, _) in sorted(self.lists.items())),
        ]
        listed = {file for _, lines in self.lists.values() for file in lines}
        files += sorted(file for file in self.certificates if file not in listed)
        files += [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(self.extras.items())]
        return "\n".join([self._config(with_servers=False), *files])

    def bundle(self) -> Bundle:
        """The files of one generation."""
        files: dict[str, bytes] = dict(self.certificates) | dict(self.authorities) | dict(self.pairs) | dict(self.extras)
        for name, (first, lines) in self.lists.items():
            files[name] = _text([first, *lines.values()])
        for name, entries in self.maps.items():
            files[name] = _text(f"{key} {value}" for key, value in entries.items())
        for name, ranges in self.ranges.items():
            files[name] = _text(ranges)
        files[CONFIG_FILE] = self._config(with_servers=True).encode() + b"\n"
        return Bundle(files)

    def _config(self, *, with_servers: bool) -> str:
        return "\n\n".join(section(one.head, [*one.lines, *(self._lines(one) if with_servers else ())]) for one in self.sections)

    def _lines(self, one: Section) -> Iterable[str]:
        return (f"server {name} {server.fixed}" for name, server in self.servers.get(one.backend or "", {}).items())


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
