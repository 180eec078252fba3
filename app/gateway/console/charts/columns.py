"""Stacked columns by time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

from app.gateway.console.charts.chart import Chart, Rectangle

PLOT_TOP, PLOT_HEIGHT, AXIS_HEIGHT = 18, 150, 22
# Percent. The numbers of the axis are on the left.
LEFT = 10.0
# Of the width of a column, without the gap to the next one.
FILLED = 0.76
# Pixels. Less could not be seen.
MIN_HEIGHT = 2.0
LABELS = 4
TOPS = (2, 4, 6, 8, 10)


class Column(NamedTuple):
    """A column of the drawing: its time, the text that a pointer on it shows, its place, and its areas."""

    moment: datetime
    text: str
    x: float
    width: float
    rectangles: list[Rectangle]


class Level(NamedTuple):
    """A line across the drawing, and its number."""

    y: float
    text: str


class Tick(NamedTuple):
    """A time below the drawing."""

    x: float
    moment: datetime


@dataclass(frozen=True, kw_only=True)
class ColumnChart(Chart):
    """Columns of rows whose labels are full hours, oldest first. A script shows the hours in the reader's zone.

    chart = ColumnChart(
        name="last-day", title="Operations per hour", of="Hour",
        series=(Series("Completed", "good"), Series("Failed", "bad")),
        rows=[Row(hour, (3, 0)), …],
    )
    """

    template: ClassVar[str] = "charts/columns.html"
    height: ClassVar[int] = PLOT_TOP + PLOT_HEIGHT + AXIS_HEIGHT
    left: ClassVar[float] = LEFT
    bottom: ClassVar[int] = PLOT_TOP + PLOT_HEIGHT

    @property
    def top(self) -> float:
        """The number at the top of the axis."""
        highest = max((row.total for row in self.rows), default=0)
        size = 1
        while TOPS[-1] * size < highest:
            size *= 10
        return next(top * size for top in TOPS if top * size >= highest)

    @property
    def levels(self) -> list[Level]:
        """The lines across the drawing."""
        return [Level(PLOT_TOP + PLOT_HEIGHT * (1 - part), self.shown(self.top * part)) for part in (1, 0.5, 0)]

    @property
    def ticks(self) -> list[Tick]:
        """The times below the drawing. Few, so that they fit a narrow window."""
        step = self._step
        return [
            Tick(round(LEFT + step * (index + FILLED / 2), 2), _moment(row.label))
            for index, row in enumerate(self.rows)
            if index % max(1, -(-len(self.rows) // LABELS)) == 0
        ]

    @property
    def columns(self) -> Iterator[Column]:
        """The columns with their places."""
        for index, row in enumerate(self.rows):
            x, y, found = LEFT + self._step * index, float(self.bottom), []
            for series, value in zip(self.series, row.values, strict=True):
                if value:
                    height = max(MIN_HEIGHT, PLOT_HEIGHT * value / self.top)
                    y -= height
                    found.append(
                        Rectangle(
                            round(x, 2), round(y, 2), round(self._step * FILLED, 2), round(height, 2), series.tone
                        )
                    )
            parts = [
                f"{self.shown(value)} {series.label.lower()}"
                for series, value in zip(self.series, row.values, strict=True)
                if value
            ]
            moment = _moment(row.label)
            text = f"{moment:%H:%M} {', '.join(parts) or 'none'}"
            yield Column(moment, text, round(x, 2), round(self._step, 2), found)

    @property
    def _step(self) -> float:
        return (100 - LEFT) / max(1, len(self.rows))


def _moment(label: str | datetime) -> datetime:
    if not isinstance(label, datetime):
        raise TypeError(f"a column stands for a time, not for {label!r}")
    return label.astimezone(UTC)
