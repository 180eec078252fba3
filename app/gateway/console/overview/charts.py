"""The charts of the overview."""

from app.gateway.console.charts.bars import BarChart
from app.gateway.console.charts.chart import Row, Series
from app.gateway.console.charts.columns import ColumnChart
from app.gateway.console.overview.overview import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    WAITS,
    History,
    Present,
)
from app.gateway.console.rendering import words

# From the ground upwards.
STACKED = (
    (Series("Completed", "good"), (COMPLETED,)),
    (Series("In progress or waiting", "busy"), (IN_PROGRESS, WAITS)),
    (Series("Failed or cancelled", "bad"), (FAILED, CANCELLED)),
)


def hours_chart(present: Present) -> ColumnChart:
    """Return the operations of the last day by hour."""
    rows = [
        Row(hour, [sum(group.count(counts) for group in groups) for _, groups in STACKED])
        for hour, counts in present.by_hour.items()
    ]
    return ColumnChart(
        name="per-hour",
        title="Operations of the last 24 hours by the hour in which they started",
        of="Hour",
        series=[series for series, _ in STACKED],
        rows=rows,
    )


def durations_chart(history: History) -> BarChart:
    """Return how long the operations of the last month took."""
    return BarChart(
        name="took",
        title="How long completed operations of the last 30 days took, by kind",
        of="Kind",
        series=(Series("Half took at most", "busy"), Series("95 % took at most", "still")),
        rows=[Row(words(durations.kind), (durations.median, durations.high)) for durations in history.durations],
        unit="span",
        side_by_side=True,
    )
