"""What the Runtime API has to do so that a running HAProxy is what another shape says (management guide 9.3). Pure.

New things come first, then what leads to them, and old things go last, so that at no moment a request finds less than before
or after.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from kubegate.render.haproxy.backend import server_address
from kubegate.render.haproxy.shape import Shape

# A payload, with its command, has to fit into one buffer.
_PAYLOAD_BYTES = 32_000
# `del map` and `set map` search the whole map, so beyond this many a map is written anew (`_anew`).
_MOST_SINGLE = 100
_BLOCK = re.compile(rb"-----BEGIN [^-]+-----[^-]+-----END [^-]+-----")
_CA_FILE = re.compile(r" ca-file (\S+)")
_Names = tuple[str, ...]
_WORD = re.compile(r"[A-Za-z0-9:._!-]+")
_ADDRESSES = re.compile(r"[0-9a-fA-F.:/]+")


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `answers` is what its answer must contain, empty if it must be empty. A payload may hold a key."""

    text: str
    payload: bytes = field(default=b"", repr=False)
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A whole lookup file in one transaction: `kind` is `acl` or `map`, a line for each entry."""

    kind: str
    file: str
    lines: tuple[str, ...]


Step = Command | Rewrite


@dataclass(frozen=True, slots=True)
class Change:
    """What to do, in this order: `additions`, `leads`, `removals`.

    `retired` are servers, by section, that then drain and go with their last stream; where some have `arrived` in their
    section, one of these has to be found alive before. One that takes the place of a server of the same address is given
    nothing until then: a request that is tried again must not find the same address under another name. In sections that are
    `distrusting` a CA counts no more, so that is not waited for long.
    """

    additions: tuple[Step, ...]
    leads: tuple[Step, ...]
    removals: tuple[Step, ...]
    retired: Mapping[str, _Names]
    arrived: Mapping[str, _Names]
    distrusting: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.additions or self.leads or self.removals or self.retired)


def change(before: Shape, after: Shape, leaving: Collection[tuple[str, str]] = ()) -> Change | None:
    """What leads from one shape to the other, None if only a reload does.

    `leaving` are servers, as section and name, that an earlier change retired and that are still there.
    """
    if before.static() != after.static():
        return None
    retired = {
        section: gone
        for section, servers in before.servers.items()
        if (gone := _missing(servers, after.servers.get(section, {})))
    }
    arrived = {
        section: new for section, servers in after.servers.items() if (new := _missing(servers, before.servers.get(section, {})))
    }
    unneeded = _missing(before.authorities, after.authorities)
    return Change(
        additions=(*_authorities(before, after), *_certificates(before, after), *_servers(after, arrived, retired, leaving)),
        leads=(*_listed(before, after), *_ranges(before, after), *_map_entries(before, after)),
        removals=(*_map_removals(before, after), *_unlisted(before, after), *map(forgotten, unneeded)),
        retired=retired,
        arrived=arrived,
        distrusting=frozenset(section for section in retired if _trusted(before, section) - _trusted(after, section)),
    )


def forgotten(file: str) -> Command:
    """Let go of a CA bundle. Servers that have read it keep what they have."""
    return Command(f"del ssl ca-file {file}", answers="deleted")


def taken(section: str, name: str) -> Command:
    """Let a server take requests, whatever it was told before."""
    return Command(f"set server {section}/{name} state ready")


def drained(section: str, name: str) -> Command:
    """Let a server take nothing new, and carry what it has to its end."""
    return Command(f"set server {section}/{name} state drain")


def _trusted(drawn: Shape, section: str) -> set[bytes]:
    """The CA certificates by which the servers of a section are verified."""
    files = {file for server in drawn.servers.get(section, {}).values() for file in _CA_FILE.findall(server.fixed)}
    return {block for file in files for block in _blocks(drawn.authorities.get(file, b""))}


def _missing(some: Mapping[str, object], others: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in some if name not in others)


def _authorities(before: Shape, after: Shape) -> Iterator[Step]:
    for file in _missing(after.authorities, before.authorities):
        yield Command(f"new ssl ca-file {file}", answers="New")
        verb = "set"
        for part in _parts(after.authorities[file]):
            yield Command(f"{verb} ssl ca-file {file}", part, answers="ransaction")
            verb = "add"
        yield Command(f"commit ssl ca-file {file}", answers="Success")


def _blocks(pem: bytes) -> list[bytes]:
    return _BLOCK.findall(pem)


def _parts(pem: bytes) -> Iterator[bytes]:
    """Whole certificates, as many as fit."""
    part = b""
    for block in _blocks(pem):
        if part and len(part) + len(block) > _PAYLOAD_BYTES:
            yield part
            part = b""
        part += block.rstrip(b"\n") + b"\n"
    yield part


def _certificates(before: Shape, after: Shape) -> Iterator[Step]:
    known = {**before.certificates, **before.pairs}
    for file, pem in {**after.certificates, **after.pairs}.items():
        if known.get(file) == pem:
            continue
        if file not in known:
            yield Command(f"new ssl cert {file}", answers="New")
        yield Command(f"set ssl cert {file}", pem, answers="ransaction")
        yield Command(f"commit ssl cert {file}", answers="Success")


def _servers(
    after: Shape, arrived: Mapping[str, _Names], retired: Mapping[str, _Names], leaving: Collection[tuple[str, str]]
) -> Iterator[Step]:
    for section, names in arrived.items():
        replaced = {server_address(name) for name in retired.get(section, ())}
        for name in names:
            if (section, name) in leaving:
                yield taken(section, name)
                continue
            server = after.servers[section][name]
            added = f"add server {section}/{name} {server.fixed} {server.checks}".rstrip()
            yield Command(added, answers="New server registered")
            if server.checks:
                yield Command(f"enable health {section}/{name}")
            if server.checks and server_address(name) in replaced:
                yield drained(section, name)
            else:
                yield Command(f"enable server {section}/{name}")


def _listed(before: Shape, after: Shape) -> Iterator[Step]:
    for name, (_, lines) in after.lists.items():
        for file in _missing(lines, before.lists[name][1]):
            yield Command(f"add ssl crt-list {name}", lines[file].encode() + b"\n", answers="Success")


def _unlisted(before: Shape, after: Shape) -> Iterator[Step]:
    for name, (_, lines) in before.lists.items():
        for file in _missing(lines, after.lists[name][1]):
            yield Command(f"del ssl crt-list {name} {file}", answers="deleted")
            yield Command(f"del ssl cert {file}", answers="deleted")


def _ranges(before: Shape, after: Shape) -> Iterator[Step]:
    for file, ranges in after.ranges.items():
        if before.ranges[file] != ranges:
            yield _rewrite("acl", file, ranges)


def _rewrite(kind: str, file: str, lines: tuple[str, ...]) -> Rewrite:
    if kind == "acl" and not all(_ADDRESSES.fullmatch(line) for line in lines):
        raise ValueError("a range of addresses has characters that no address has")
    return Rewrite(kind, file, lines)


def _map_entries(before: Shape, after: Shape) -> Iterator[Step]:
    for file, entries in after.maps.items():
        old = before.maps[file]
        changed = {key: value for key, value in entries.items() if old.get(key) != value}
        if _anew(old, entries):
            yield Rewrite("map", file, tuple(f"{key} {value}" for key, value in entries.items()))
            continue
        new = b"".join(f"{key} {value}\n".encode() for key, value in changed.items() if key not in old)
        if new:
            yield Command(f"add map {file}", new)
        for key, value in changed.items():
            if key in old:
                yield Command(f"set map {file} {key} {value}")


def _map_removals(before: Shape, after: Shape) -> Iterator[Step]:
    for file, entries in before.maps.items():
        if not _anew(entries, after.maps[file]):
            for key in _missing(entries, after.maps[file]):
                yield Command(f"del map {file} {key}")


def _anew(old: Mapping[str, str], entries: Mapping[str, str]) -> bool:
    """Whether a map is written anew: where much of it changes, or where a new value could be read as more than one word."""
    changed = [(key, value) for key, value in entries.items() if old.get(key) != value]
    odd = any(key in old and not _WORD.fullmatch(value) for key, value in changed)
    return odd or len(changed) + len(_missing(old, entries)) > _MOST_SINGLE
