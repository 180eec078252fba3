"""The history of whole runs, and its picture."""

from pathlib import Path

from PIL import Image

from bench.reporting import report
from bench.reporting.figures import Figures
from bench.reporting.history import FILE, MEDIANS, RATIOS, processor_line, read, series


def figures_of(value: float) -> Figures:
    figures = Figures()
    for name in {*MEDIANS, *(ratio.figure for ratio in RATIOS)}:
        figures.add(name, name, value, "ms")
    for ratio in RATIOS:
        figures.add(ratio.floor, ratio.floor, 2.0, "ms")
    return figures


def whole_run() -> dict[str, object]:
    return report.describe_run(seed=1, is_quick=False, sections=[], is_whole=True)


def test_each_whole_run_is_a_line_with_medians_and_ratios(tmp_path: Path) -> None:
    for value in (3.0, 5.0):
        report.add_to_history(figures_of(value), whole_run(), tmp_path)
    first, second = read(tmp_path)
    assert first.medians == dict.fromkeys(MEDIANS, 3.0)
    assert second.ratios == {ratio.name: 2.5 for ratio in RATIOS}
    assert first.commit == whole_run()["commit"]
    assert len((tmp_path / FILE).read_text().splitlines()) == 2


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    figures = Figures()
    figures.add("latency.tenant", "end to end", 90.0, "ms")
    report.add_to_history(figures, whole_run(), tmp_path)
    report.add_to_history(figures_of(3.0), whole_run(), tmp_path)
    entries = read(tmp_path)
    assert (entries[0].medians, entries[0].ratios) == ({"latency.tenant": 90.0}, {})
    assert series(entries, "latency.tenant", is_ratio=False) == [(0, 90.0), (1, 3.0)]
    assert series(entries, "latency", is_ratio=True) == [(1, 1.5)]


def test_the_picture_changes_with_the_runs(tmp_path: Path) -> None:
    picture = report.add_to_history(figures_of(3.0), whole_run(), tmp_path)
    before = picture.read_bytes()
    assert before.startswith(b"\x89PNG")
    assert report.add_to_history(figures_of(6.0), whole_run(), tmp_path).read_bytes() != before
    with Image.open(picture) as image:
        assert image.size == (1264, 980)


def test_the_history_of_the_repository_is_readable() -> None:
    entries = read(report.RESULTS)
    assert entries
    assert all(entry.medians.keys() <= MEDIANS.keys() for entry in entries)
    assert [entry.date for entry in entries] == sorted(entry.date for entry in entries)


def test_processor_time_is_shown_by_process() -> None:
    figures = Figures()
    assert processor_line(figures) is None
    for name, value in (("gateway", 10.5), ("worker", 27.2), ("postgres", 19.8), ("temporal", 20.5)):
        figures.add(f"processor.{name}", name, value, "ms")
    shown = "processor time a tenant: 78.0 ms (gateway 10.5, worker 27.2, PostgreSQL 19.8, Temporal 20.5)"
    assert processor_line(figures) == shown
    assert shown in list(report.lines(figures, []))
