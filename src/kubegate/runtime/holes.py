"""Known holes of HAProxy and of its TLS library: what the tables in `known_holes/` say about a program, and what to do about it.

A table is as old as its date, and knows upstream's numbers alone: what a distribution mended under one of them it cannot see.
"""

import tomllib
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from kubegate.model.problem import Problem
from kubegate.runtime.binary import Binary
from kubegate.runtime.build import Numbers, numbers

BROUGHT_ALONG = "the embedded HAProxy brings it along; a newer HAProxy of this system is preferred when there is one"
BACKPORTED = "a distribution may have mended holes under the same number; its own changelog says so"
_INSTALL = "install a newer HAProxy: on the PATH it is preferred to the embedded one, else name it (dataPlane.haproxy, --haproxy)"
_TABLES = {"HAProxy": "haproxy.toml", "OpenSSL": "openssl.toml"}


@dataclass(frozen=True, slots=True)
class Hole:
    """One hole: the part of the program that it is in, whether a gate uses that part, and what it lets happen.

    `affected` holds pairs, one a branch at most: the first version that has it, and the one that mends it ("" if none is known).
    """

    id: str
    published: date
    part: str
    concerns: bool
    says: str
    affected: tuple[tuple[str, str], ...]

    def mended_in(self, version: str) -> str | None:
        """The version of the same branch that mends it, "" if none is known; None where this version does not have it."""
        found = numbers(version)
        for first, mended in self.affected:
            if branch(first) == branch(version) and numbers(first) <= found and (not mended or found < numbers(mended)):
                return mended
        return None


@dataclass(frozen=True, slots=True)
class Branch:
    """What the table knows of a branch: no holes that were mended before `since`; `newest` exists; free fixes `ended` then."""

    since: str
    newest: str
    ended: date | None

    def sells(self, version: str) -> bool:
        """Whether a version is for customers only."""
        return self.ended is not None and numbers(version) > numbers(self.newest)


@dataclass(frozen=True, slots=True)
class Table:
    """The holes of one product, and the day on which the table was made."""

    product: str
    made: date
    branches: dict[str, Branch]
    holes: tuple[Hole, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A hole that a version has, the version of its branch that mends it ("": none known), and whether that one is only sold."""

    hole: Hole
    mended: str
    sold: bool


@dataclass(frozen=True, slots=True)
class Review:
    """What is known of one version of one product. `made` is the date of the table, None if there is none for this product."""

    product: str
    version: str
    made: date | None
    found: tuple[Found, ...]
    remarks: tuple[str, ...]

    @property
    def concerning(self) -> tuple[Found, ...]:
        """The holes in parts that a gate uses."""
        return tuple(found for found in self.found if found.hole.concerns)


def branch(version: str) -> Numbers:
    """The branch of a version: its first two numbers."""
    return numbers(version)[:2]


@cache
def table(product: str) -> Table | None:
    """The table of a product; None where there is none."""
    if product not in _TABLES:
        return None
    read = tomllib.loads(files("kubegate.runtime").joinpath("known_holes", _TABLES[product]).read_text(encoding="utf-8"))
    branches = {name: Branch(said["from"], said["newest"], said.get("ended")) for name, said in read["branches"].items()}
    holes = tuple(_hole(name, said, read["parts"]) for name, said in read["holes"].items())
    return Table(product, read["made"], branches, holes)


def reviews(binary: Binary) -> tuple[Review, ...]:
    """What is known of an HAProxy, and of the TLS library that it runs on."""
    about = [review("HAProxy", ".".join(map(str, binary.version)))]
    if binary.build.tls is not None:
        about.append(review(binary.build.tls.name, binary.build.tls.version))
    if not binary.embedded:
        return tuple(_with(each, BACKPORTED) if each.found else each for each in about)
    return (about[0], *(_with(each, BROUGHT_ALONG) for each in about[1:]))


def review(product: str, version: str) -> Review:
    """What the table of a product says about one of its versions."""
    known = table(product)
    if known is None:
        return Review(product, version, None, (), (f"there is no table of holes for {product}",))
    there = known.branches.get(_name(version))
    found = [
        Found(hole, mended, there is not None and there.sells(mended))
        for hole in known.holes
        if (mended := hole.mended_in(version)) is not None
    ]
    return Review(product, version, known.made, tuple(found), tuple(_remarks(known, version)))


def warnings_about(binary: Binary) -> list[Problem]:
    """One warning if there are known holes in what a gate uses of this HAProxy and its TLS library, else none.

    Code `haproxy.holes` for the embedded one, and `haproxy.holes.by-number` for another, which may have been mended.
    """
    worst = [each for each in reviews(binary) if each.concerning]
    if not worst:
        return []
    holes = "; ".join(f"{each.product} {each.version} has {_listed([f.hole.id for f in each.concerning])}" for each in worst)
    made = min(each.made for each in worst if each.made is not None)
    where, told = str(binary.path), f"by a table of {made}: {holes}"
    if binary.embedded:
        return [Problem(where, "haproxy.holes", f"{binary} has known holes in what a gate uses, {told}", _INSTALL)]
    doubt = f"{binary} may have known holes in what a gate uses, by its numbers and {told}; {BACKPORTED}"
    return [Problem(where, "haproxy.holes.by-number", doubt, f"look into the changelog of {binary.build.version}, or update it")]


def by_part(found: tuple[Found, ...]) -> list[tuple[str, list[str]]]:
    """Parts and the holes in them."""
    ordered = sorted(found, key=lambda each: each.hole.part.lower())
    return [(part, [each.hole.id for each in some]) for part, some in groupby(ordered, key=lambda each: each.hole.part)]


def _hole(name: str, said: dict[str, Any], parts: dict[str, bool]) -> Hole:
    affected = tuple((first, mended) for first, mended in said["affected"])
    return Hole(name, said["published"], said["part"], parts[said["part"]], said["says"], affected)


def _remarks(known: Table, version: str) -> list[str]:
    """What else a table says about a version, as sentences."""
    name = _name(version)
    there = known.branches.get(name)
    if there is None:
        return [f"the table does not cover {known.product} {name}"]
    remarks = []
    if numbers(version) < numbers(there.newest):
        remarks.append(f"older than {there.newest}, the newest of its branch that the table knows")
    if there.ended is not None:
        remarks.append(f"the branch {name} gets no free fixes from {known.product} since {there.ended}")
    if numbers(version) < numbers(there.since):
        remarks.append(f"holes that were mended before {there.since} are not in the table")
    return remarks


def _name(version: str) -> str:
    return ".".join(map(str, branch(version)))


def _with(review: Review, remark: str) -> Review:
    return replace(review, remarks=(*review.remarks, remark))


def _listed(words: list[str]) -> str:
    """As in "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
