"""The figures in docs/performance.md can be written from the reports of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.reporting import report
from bench.reporting.figures import Figures
from bench.reporting.verdicts import CONSOLE_PAGES, judge
from scripts.figures_table import DOCUMENT, TIMES, with_figures

TEXT = DOCUMENT.read_text()


def written(tmp_path: Path, figures: Figures, sections: list[str], *, is_whole: bool) -> dict[str, Any]:
    run = report.describe_run(seed=1, is_quick=False, sections=sections, is_whole=is_whole)
    document: dict[str, Any] = json.loads(report.write(figures, judge(figures), run, tmp_path).read_text())
    return document


def test_without_a_report_the_document_stays(tmp_path: Path) -> None:
    assert with_figures(TEXT, tmp_path) == TEXT


def test_the_tables_are_those_of_the_newest_reports(tmp_path: Path) -> None:
    figures = Figures()
    for name, value in (("latency.tenant", 90.0), ("latency.empty", 60.0), ("processor.worker", 12.25)):
        figures.add(name, name, value, "ms")
    whole = written(tmp_path, figures, [], is_whole=True)
    for name in ("overview", *CONSOLE_PAGES):
        for kind, value in (("page", 12.5), ("route", 5.0)):
            figures.add(f"console.10000.{name}.{kind}", name, value, "ms")
    figures.add("scale.100.creation", "creation", 71.5, "ms")
    written(tmp_path, figures, ["console"], is_whole=False)
    written(tmp_path, figures, ["scale"], is_whole=False)

    lines = with_figures(TEXT, tmp_path).splitlines()

    assert f"| end to end, of an empty workflow | at most 1.6{TIMES} | 1.50{TIMES}: met |" in lines
    assert "| processor time a tenant, worker, ms | 12.25 |" in lines
    assert f"| tenants | 12.50 | 5 | 2.50{TIMES} |" in lines
    assert "| creation | 71.50 | | |" in lines
    assert any(whole["run"]["name"] in line for line in lines)
    assert not [line for line in lines if "for this release yet" in line]
    assert with_figures("\n".join(lines), tmp_path) == "\n".join(lines)


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    written(tmp_path, Figures(), [], is_whole=True)
    with pytest.raises(ValueError, match="no marks for figures"):
        with_figures("# Performance\n", tmp_path)
