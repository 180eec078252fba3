"""What all charts have: series, rows, and a table of the same numbers for those who don't see the drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from markupsafe import Markup

from app.gateway.console.rendering import fragment, number, span

Tone = Literal["good", "busy", "warn", "bad", "still"]


@dataclass(frozen=True)
class Series:
    """One of the values of each row: its name in the legend, and its colour."""

    label: str
    tone: Tone


@dataclass(frozen=True)
class Row:
    """A bar or a column: what it stands for, and a value for each series."""

    label: str | datetime
    values: Sequence[float]

    @property
    def total(self) -> float:
        """The sum of the values."""
        return sum(self.values)


@dataclass(frozen=True)
class Rectangle:
    """A filled area of a drawing. `x` and `width` are percentages, so that text keeps its size at every width."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart as inline SVG. A template shows it by `{{ chart }}`.

    `name` is unique in the page, because ids begin with it. `title` says in a few words what the chart shows, and
    `of` what its rows are, as the heading of the table's first column.
    """

    name: str
    title: str
    of: str
    series: Sequence[Series]
    rows: Sequence[Row]
    unit: Literal["number", "span"] = "number"
    template: ClassVar[str]

    def __html__(self) -> Markup:
        """Return the chart for a template."""
        return fragment(self.template, chart=self)

    def shown(self, value: float) -> str:
        """Return a value as text."""
        return span(value) if self.unit == "span" else number(value)
