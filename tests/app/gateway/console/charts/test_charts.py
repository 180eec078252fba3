import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from app.gateway.console.charts.bars import BarChart
from app.gateway.console.charts.chart import Chart, Row, Series
from app.gateway.console.charts.columns import PLOT_HEIGHT, ColumnChart

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTCOMES = (Series("Completed", "good"), Series("Failed", "bad"))


def drawing(chart: Chart) -> ET.Element:
    found = re.search(r"<svg.*</svg>", chart.__html__(), re.DOTALL)
    assert found is not None
    return ET.fromstring(found[0])  # noqa: S314 - our own text


def by_hour(*values: tuple[int, int]) -> ColumnChart:
    rows = [Row(NOON + timedelta(hours=index), pair) for index, pair in enumerate(values)]
    return ColumnChart(name="day", title="Operations per hour", of="Hour", series=OUTCOMES, rows=rows)


def test_bars_are_as_long_as_their_counts_the_largest_first() -> None:
    chart = BarChart.of_counts("tables", "Rows by table", "Table", {"users": 5, "clients": 10, "none": 0})

    assert [bar.label for bar in chart.bars] == ["clients", "users", "none"]
    assert [[area.width for area in bar.rectangles] for bar in chart.bars] == [[100], [50], []]


def test_more_rows_than_fit_are_one_bar_and_all_of_them_are_in_the_table() -> None:
    chart = BarChart.of_counts("tables", "Rows by table", "Table", {f"table_{n:02}": 1000 + n for n in range(40)})

    *_, last = chart.bars
    assert len(list(chart.bars)) == 15
    assert (last.label, last.numbers) == ("26 others", f"{sum(1000 + n for n in range(26)):,}")
    assert all(f">table_{n:02}</th>" in chart.__html__() for n in range(40))


def test_stacked_bars_end_where_the_total_is_and_none_is_too_short_to_be_seen() -> None:
    rows = [Row("many", (9_999, 1)), Row("few", (0, 1))]
    chart = BarChart(name="types", title="Deliveries by type", of="Type", series=OUTCOMES, rows=rows)

    many, few = (bar.rectangles for bar in chart.bars)
    assert many[0].x == 0
    assert many[-1].x + many[-1].width == pytest.approx(100)
    assert [area.tone for area in few] == ["bad"]
    assert few[0].width == 0.5


def test_columns_stand_on_each_other_below_the_top_of_the_axis() -> None:
    chart = by_hour((3, 1), (0, 0), (9, 0))

    first, second, third = (column.rectangles for column in chart.columns)
    assert chart.top == 10
    assert [area.height for area in first] == [PLOT_HEIGHT * 0.3, PLOT_HEIGHT * 0.1]
    assert first[0].y + first[0].height == chart.bottom
    assert first[1].y + first[1].height == first[0].y
    assert not second
    assert third[0].height == pytest.approx(PLOT_HEIGHT * 0.9)


@pytest.mark.parametrize(("highest", "top"), [(0, 2), (1, 2), (3, 4), (10, 10), (11, 20), (999, 1000), (1001, 2000)])
def test_the_axis_ends_at_a_round_number(highest: int, top: int) -> None:
    assert by_hour((highest, 0)).top == top


def test_a_drawing_has_a_name_and_its_numbers_are_in_a_table_as_well() -> None:
    chart = by_hour((3, 1), (0, 0))

    svg, text = drawing(chart), chart.__html__()
    assert svg.get("role") == "img"
    title = svg.find("title")
    assert title is not None
    assert (title.get("id"), title.text) == (svg.get("aria-labelledby"), "Operations per hour")
    assert "12:00 3 completed, 1 failed" in text
    assert "13:00 none" in text
    assert re.findall(r'<td class="number">(\d+)</td>', text) == ["3", "1", "0", "0"]


def test_text_from_outside_stays_text() -> None:
    chart = BarChart.of_counts("tables", "Rows <b>", "Table", {"<script>": 1})

    assert "<script>" not in chart.__html__()
    assert "<b>" not in chart.__html__()
