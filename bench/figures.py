"""Figures of several rounds: the smallest, the lower quartile, the median, and how far they lie apart."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured in each round, in one unit."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        return cls(tuple(sorted(values)))

    @property
    def least(self) -> float:
        return self.values[0]

    @property
    def quartile(self) -> float:
        """The lower quartile, which noise of other work on the machine moves least: it only ever adds."""
        return self._quantile(0)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, in the unit of the figure."""
        return (self._quantile(2) - self._quantile(0)) / 2

    def _quantile(self, number: int) -> float:
        return self.values[0] if len(self.values) == 1 else statistics.quantiles(self.values, n=4, method="inclusive")[number]


def ratio(one: Figure, other: Figure) -> float:
    """How many times `other` is `one`, by their lower quartiles."""
    return one.quartile / other.quartile
