"""Places in a declared file: the line of every key, and how a flaw that was found there is told as a Problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubegate.model.names import printable
from kubegate.model.problem import Problem

# The keys and list positions that lead to a value, as in ("clusters", 0, "upstream", "ca").
Loc = tuple[str | int, ...]
_LONGEST_STEP = 60


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value stands: its line (from 1), the spots below it by key or position, and its `name` if it has one."""

    line: int
    below: "Mapping[str, Spot] | Sequence[Spot]" = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one file; `shown` is its name for people."""

    shown: str
    root: Spot

    def at(self, *loc: str | int) -> str:
        """`FILE:LINE: clusters[prod].upstream.ca`; the line is that of the nearest parent where the key itself is not there."""
        return self.told(loc, self.line(loc))

    def line(self, loc: Loc) -> int:
        """The line of a key or list element, or of its nearest parent."""
        line = self.root.line
        for spot in self._way(loc):
            line = spot.line if spot else line
        return line

    def told(self, loc: Loc, line: int) -> str:
        """A place whose line is known."""
        label = ""
        for step, spot in zip(loc, self._way(loc), strict=True):
            if isinstance(step, int):
                label += f"[{_short(spot.name) if spot and spot.name else step}]"
            else:
                label += f"{'.' if label else ''}{_short(step)}"
        return f"{printable(self.shown)}:{line}: {label}" if label else f"{printable(self.shown)}:{line}"

    def _way(self, loc: Loc) -> list[Spot | None]:
        spot: Spot | None = self.root
        found = []
        for step in loc:
            spot = _below(spot, step) if spot else None
            found.append(spot)
        return found


def _below(spot: Spot, step: str | int) -> Spot | None:
    if isinstance(step, str):
        return spot.below.get(step) if isinstance(spot.below, Mapping) else None
    return spot.below[step] if isinstance(spot.below, Sequence) and 0 <= step < len(spot.below) else None


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST_STEP else f"{text[:_LONGEST_STEP]}...")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong at a place of a declaration.

    `line` is that of its place where it is another than the key's; `other` is a second place that the message speaks of.
    `rests_on` are the values that it was concluded from: where one of them is itself wrong, nothing can be concluded.
    """

    loc: Loc
    code: str
    message: str
    hint: str = ""
    line: int | None = None
    other: Loc | None = None
    rests_on: tuple[Loc, ...] = ()

    def problem(self, places: Places) -> Problem:
        """The same in words."""
        where = places.told(self.loc, self.line_in(places))
        message = f"{self.message} ({places.at(*self.other)})" if self.other is not None else self.message
        return Problem(where, f"config.{self.code}", printable(message), self.hint)

    def line_in(self, places: Places) -> int:
        """The line at which it is told."""
        return places.line(self.loc) if self.line is None else self.line
