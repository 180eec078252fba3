"""Measured figures by name, each the median of its rounds."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure, the median of `rounds` if there are any."""

    name: str
    label: str
    value: float
    unit: str
    rounds: tuple[float, ...] = ()


class Figures:
    """The figures of a run in order of measurement."""

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._figures.values())

    def add(self, name: str, label: str, value: float, unit: str) -> None:
        """Add a figure."""
        self._figures[name] = Figure(name, label, value, unit)

    def add_rounds(self, name: str, label: str, rounds: Sequence[float], unit: str) -> None:
        """Add the median of several rounds."""
        self._figures[name] = Figure(name, label, statistics.median(rounds), unit, tuple(rounds))

    def get(self, name: str) -> float | None:
        """Return the figure's value, None if it was not measured."""
        figure = self._figures.get(name)
        return figure.value if figure is not None else None

    def ratio(self, name: str, floor: str) -> float | None:
        """Return the figure divided by its floor, None if either was not measured."""
        value, beside = self.get(name), self.get(floor)
        return value / beside if value is not None and beside else None

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {figure.name: {k: v for k, v in asdict(figure).items() if k != "name"} for figure in self}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent don't exceed; NaN without values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
