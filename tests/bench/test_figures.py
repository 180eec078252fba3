"""The arithmetic of the report: percentiles, medians, bars and verdicts."""

import asyncio
import json
import math
from pathlib import Path

import pytest

from bench.reporting import report
from bench.reporting.figures import Figures, percentile
from bench.reporting.plot import share_of_limit
from bench.reporting.timing import at_once, at_pace, count_done
from bench.reporting.verdicts import BARS, SCALED_WORKS, Bar, Verdict, is_missed, judge, scaled_rate
from bench.sections.console import KINDS, PAGES, SIZES


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]


def test_a_percentile_without_values_is_nan() -> None:
    assert math.isnan(percentile([], 99))


def test_the_figure_of_rounds_is_their_median() -> None:
    figures = Figures()
    figures.add_rounds("a", "A", [9.0, 1.0, 2.0], "ms")
    assert figures.get("a") == 2.0
    assert figures.as_json()["a"]["rounds"] == (9.0, 1.0, 2.0)


def test_a_ratio_without_a_measurement_is_none() -> None:
    figures = Figures()
    figures.add("a", "A", 6.0, "ms")
    assert figures.ratio("a", "b") is None
    figures.add("b", "B", 0.0, "ms")
    assert figures.ratio("a", "b") is None
    figures.add("b", "B", 4.0, "ms")
    assert figures.ratio("a", "b") == 1.5


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [
        ("at most", 2.0, "ok"),
        ("at most", 2.01, "missed"),
        ("at least", 2.0, "ok"),
        ("at least", 1.99, "missed"),
        ("at least", None, "not measured"),
    ],
)
def test_a_value_at_the_limit_is_ok(kind: str, value: float | None, word: str) -> None:
    bar = Bar("a bar", lambda _: value, "at most" if kind == "at most" else "at least", 2.0)
    assert Verdict(bar, value).word == word


def test_a_bar_that_was_not_measured_is_not_missed() -> None:
    assert [verdict.word for verdict in judge(Figures())] == ["not measured"] * len(BARS)
    assert not is_missed(judge(Figures()))


def test_tenants_a_second_are_scaled_to_the_reference_machine() -> None:
    figures = Figures()
    figures.add("throughput.100.tenants", "tenants", 20.0, "/s")
    figures.add("throughput.100.empty", "empty", 35.0, "/s")
    assert scaled_rate(100)(figures) == 40.0
    figures.add("throughput.100.empty", "empty", 140.0, "/s")
    assert is_missed(judge(figures))


def test_every_bar_names_figures_that_the_sections_take() -> None:
    named = {f"throughput.{level}.{kind}" for level in (100, 300) for kind in ("tenants", "empty", "steps")}
    named |= {"latency.tenant", "latency.empty", "latency.steps", "database.time", "database.copy"}
    named |= {"database.round_trips", "polls.running.1", "polls.describe", "polls.finished.1", "polls.route"}
    named |= {f"scale.{size}.{work}" for size in (100, 10_000) for work in SCALED_WORKS}
    named |= {"polls.paced.p99", "posting.post", "posting.start", "memory.worker.growth", "memory.gateway.growth"}
    named |= {"purge.purge", "purge.deletes", "export.copy", "export.masked", "export.memory"}
    named |= {"restore.restore", "restore.copy_in", "restore.memory"}
    named |= {"directory.page", "directory.select"}
    named |= {f"console.{size}.{page}.{kind}" for size in SIZES for page in PAGES for kind in KINDS}
    named |= {"against.latency", "against.throughput", "against.processor.total"}
    figures = Figures()
    for name in named:
        figures.add(name, name, 1.0, "")
    assert "not measured" not in [verdict.word for verdict in judge(figures)]


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_report_is_written_under_its_name_and_a_whole_one_as_the_latest(
    tmp_path: Path, *, is_whole: bool
) -> None:
    figures = Figures()
    figures.add("polls.paced.p99", "p99", 75.0, "ms")
    run = report.describe_run(seed=1, is_quick=True, sections=["polling"], is_whole=is_whole)
    file = report.write(figures, judge(figures), run, tmp_path)
    document = json.loads(file.read_text())
    latest = tmp_path / "latest.json"
    assert (json.loads(latest.read_text()) == document) if is_whole else not latest.exists()
    assert file.stem.endswith("-polling") is not is_whole
    assert document["figures"]["polls.paced.p99"]["value"] == 75.0
    [missed] = [bar for bar in document["bars"] if bar["verdict"] == "missed"]
    assert (missed["value"], missed["limit"]) == (75.0, 50)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    lines = list(report.lines(figures, judge(figures)))
    assert [line.split()[0] for line in lines[lines.index("bars") + 1 :]] == ["missed"]


def test_a_bar_in_the_picture_ends_at_its_edge() -> None:
    bar = Bar("a bar", lambda _: None, "at most", 2.0)
    assert share_of_limit(Verdict(bar, 1.0)) == 0.5
    assert share_of_limit(Verdict(bar, 1e9)) == share_of_limit(Verdict(bar, 1e6))
    assert share_of_limit(Verdict(bar, math.inf)) == 0.0


@pytest.mark.anyio
async def test_the_count_and_the_concurrency_are_kept() -> None:
    under_way, most = 0, 0

    async def once() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await _turn()
        under_way -= 1

    timings = await count_done(once, in_flight=3, count=10)
    assert (len(timings.milliseconds), most) == (10, 3)


@pytest.mark.anyio
async def test_the_pace_is_kept_while_calls_are_in_flight() -> None:
    begun = []

    async def once() -> None:
        begun.append(1)
        await _turn()

    timings = await at_pace(once, rate=500, seconds=0.1)
    assert len(begun) == len(timings.milliseconds) == 50
    assert timings.seconds >= 0.098


@pytest.mark.anyio
async def test_calls_that_end_in_time_are_counted() -> None:
    done = []

    async def once() -> None:
        await _turn()
        done.append(1)

    timings = await at_once(once, in_flight=2, seconds=0.05, warm_up=0.02)
    assert 0 < len(timings.milliseconds) < len(done)
    assert timings.rate == len(timings.milliseconds) / 0.05


async def _turn() -> None:
    await asyncio.sleep(0.001)
