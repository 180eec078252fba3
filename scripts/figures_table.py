"""Update the figures in docs/performance.md after `make bench`: `python -m scripts.figures_table`.

The bars and the medians are those of the last whole run, the tables of sizes and of the console those of the newest
runs of these sections. A table stays as it is if its section was never run.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.reporting.history import MEDIANS
from bench.reporting.verdicts import CONSOLE_PAGES, CONSOLE_SIZES, SCALED_WORKS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"
SIZES = (100, 1_000, 10_000)
LARGE = 100
TIMES = " \N{MULTIPLICATION SIGN}"

Report = Mapping[str, Any]


def with_figures(text: str, results: Path) -> str:
    """Return the document with the figures of the newest reports in the folder."""
    whole = results / "latest.json"
    if whole.exists():
        text = _replaced(text, "figures", _whole_run(json.loads(whole.read_text())))
    for section, table in (("scale", _scale), ("console", _console)):
        # Names begin with the date.
        if reports := sorted(results.glob(f"*-{section}.json")):
            text = _replaced(text, section, table(json.loads(reports[-1].read_text())))
    return text


def _replaced(text: str, name: str, lines: Iterable[str]) -> str:
    """Replace what is between the two marks of a name; raises `ValueError` if one is missing."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"docs/performance.md has no marks for {name}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + "\n".join(lines) + "\n" + end + after


def _whole_run(report: Report) -> Iterator[str]:
    yield _origin(report)
    yield from ("", "| bar | limit | measured |", "| --- | --- | --- |")
    for bar in report["bars"]:
        if bar["value"] is not None:
            unit = TIMES if bar["unit"] == "x" else f" {bar['unit']}".rstrip()
            verdict = "met" if bar["verdict"] == "ok" else "**missed**"
            limit = f"{bar['kind']} {bar['limit']:g}{unit}"
            yield f"| {bar['bar']} | {limit} | {_number(bar['value'])}{unit}: {verdict} |"
    yield from ("", "| median | |", "| --- | --- |")
    for name, label in MEDIANS.items():
        if name in report["figures"]:
            what = f"processor time a tenant, {label}, ms" if name.startswith("processor.") else label
            yield f"| {what} | {_value(report, name)} |"


def _scale(report: Report) -> Iterator[str]:
    yield _origin(report)
    header = ["", *(f"{size:,} tenants" for size in SIZES)]
    rows = [[work, *(_value(report, f"scale.{size}.{work}") for size in SIZES)] for work in SCALED_WORKS]
    yield from ("", *_table(header, rows))


def _console(report: Report) -> Iterator[str]:
    yield _origin(report)
    size = CONSOLE_SIZES[-1]
    rows = []
    for name in ("overview", *CONSOLE_PAGES):
        page, route = (report["figures"][f"console.{size}.{name}.{kind}"]["value"] for kind in ("page", "route"))
        rows.append([name, _number(page), _number(route) if name != "overview" else "", f"{page / route:.2f}{TIMES}"])
    yield from ("", *_table(["page", "page, ms", "route, ms", "ratio"], rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield "|" + "".join(f" {cell} |" if cell else " |" for cell in row)


def _origin(report: Report) -> str:
    run = report["run"]
    machine = run["machine"]
    return (
        f"`bench/results/{run['name']}.json`, commit {run['commit']}, {machine['cores']} cores for everything, "
        f"load {machine['loadBefore']:.1f} before."
    )


def _value(report: Report, name: str) -> str:
    figure = report["figures"].get(name)
    return _number(figure["value"]) if figure is not None else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= LARGE or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_figures(DOCUMENT.read_text(), RESULTS))
