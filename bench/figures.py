"""Figures of several rounds: the smallest, the lower quartile, the median, and how far they lie apart."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured in each round, in order, in one unit."""

    values: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def quartile(self) -> float:
        """The lower quartile, which noise of other work on the machine moves least: it only ever adds."""
        return self.quantile(1)

    @property
    def median(self) -> float:
        return self.quantile(2)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, in the unit of the figure."""
        return (self.quantile(3) - self.quantile(1)) / 2

    def quantile(self, number: int) -> float:
        """One of the three quartiles."""
        if len(self.values) == 1:
            return self.values[0]
        return statistics.quantiles(self.values, n=4, method="inclusive")[number - 1]


def times(one: Figure, other: Figure) -> Figure:
    """How many times `other` is `one`, round by round: a slow moment of the machine meets both."""
    return Figure(tuple(mine / theirs for mine, theirs in zip(one.values, other.values, strict=True)))
