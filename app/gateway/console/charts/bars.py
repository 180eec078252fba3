"""Horizontal bars, each with its label and numbers above it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from app.gateway.console.charts.chart import Chart, Rectangle, Row, Series, Tone

LABEL_HEIGHT, BAR_HEIGHT, GAP = 20, 10, 12
# Text of this length fits beside a number in a window of 390 pixels; the table has the whole of it.
MAX_LABEL_LENGTH = 30
# Percent. Less could not be seen.
MIN_WIDTH = 0.5


class Bar(NamedTuple):
    """A bar of the drawing: its texts, the height of their line, and its areas."""

    label: str
    numbers: str
    y: float
    rectangles: list[Rectangle]


@dataclass(frozen=True, kw_only=True)
class BarChart(Chart):
    """Bars of the rows in their order; of more than `limit`, the rest is one bar.

    The values of a row lie one behind the other, or below each other if `side_by_side`.

        chart = BarChart.of_counts("footprint", "Rows by table", "Table", footprint.tables)
        chart = BarChart(
            name="deliveries", title="Deliveries of the last day by type", of="Type",
            series=(Series("Delivered", "good"), Series("Dead", "bad")),
            rows=[Row("tenant.created", (17, 1)), …],
        )
    """

    limit: int = 15
    side_by_side: bool = False
    template: ClassVar[str] = "charts/bars.html"

    @classmethod
    def of_counts(cls, name: str, title: str, of: str, counts: Mapping[str, int], *, tone: Tone = "busy") -> Self:
        """Return the bars of counts by name, the largest first."""
        rows = [Row(label, (count,)) for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
        return cls(name=name, title=title, of=of, series=(Series("Number", tone),), rows=rows)

    @property
    def drawn(self) -> list[Row]:
        """The rows that have a bar."""
        if len(self.rows) <= self.limit:
            return list(self.rows)
        rest = self.rows[self.limit - 1 :]
        sums = [sum(values) for values in zip(*(row.values for row in rest), strict=True)]
        return [*self.rows[: self.limit - 1], Row(f"{len(rest)} others", sums)]

    @property
    def row_height(self) -> float:
        """The height of a bar with its label and the gap below it."""
        return LABEL_HEIGHT + BAR_HEIGHT * (len(self.series) if self.side_by_side else 1) + GAP

    @property
    def height(self) -> float:
        """The height of the drawing."""
        return self.row_height * len(self.drawn) - GAP

    @property
    def bars(self) -> Iterator[Bar]:
        """The bars with their places."""
        rows = self.drawn
        longest = max((max(row.values) if self.side_by_side else row.total for row in rows), default=0)
        for index, row in enumerate(rows):
            y = index * self.row_height
            numbers = row.values if self.side_by_side else (row.total,)
            texts = " · ".join(self.shown(value) for value in numbers)
            yield Bar(_cut(str(row.label)), texts, y, self._rectangles(row, y + LABEL_HEIGHT, longest))

    def _rectangles(self, row: Row, y: float, longest: float) -> list[Rectangle]:
        found, x = [], 0.0
        for series, value in zip(self.series, row.values, strict=True):
            width = max(MIN_WIDTH, 100 * value / longest) if value else 0.0
            if width:
                found.append(Rectangle(round(x, 2), y, round(min(width, 100 - x), 2), BAR_HEIGHT, series.tone))
            if self.side_by_side:
                y += BAR_HEIGHT
            else:
                x += width
        return found


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL_LENGTH else f"{text[: MAX_LABEL_LENGTH - 1]}…"
