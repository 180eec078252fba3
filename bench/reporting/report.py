"""Reports a run: a table of figures, the list of bars, and both as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.reporting.figures import Figure, Figures
from bench.reporting.history import append, make_entry, processor_line
from bench.reporting.history_plot import FILE as HISTORY_PICTURE
from bench.reporting.history_plot import draw_history
from bench.reporting.plot import draw
from bench.reporting.verdicts import Verdict

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "bench" / "results"
GIBIBYTE = 1024**3
LARGE = 100
COMMIT_LENGTH = 7


def lines(figures: Figures, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the report for people."""
    width = max((len(figure.label) for figure in figures), default=0)
    for topic in dict.fromkeys(_topic(figure) for figure in figures):
        yield ""
        yield topic
        for figure in figures:
            if _topic(figure) == topic:
                yield f"  {figure.label:<{width}}  {_number(figure.value):>10} {figure.unit}{_spread(figure)}"
    if (spent := processor_line(figures)) is not None:
        yield ""
        yield spent
    yield ""
    yield "bars"
    for verdict in verdicts:
        if verdict.value is not None:
            yield f"  {_verdict(verdict)}"


def as_json(figures: Figures, verdicts: Sequence[Verdict], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "run": run,
        "figures": figures.as_json(),
        "bars": [
            {
                "bar": verdict.bar.text,
                "kind": verdict.bar.kind,
                "limit": verdict.bar.limit,
                "value": verdict.value,
                "unit": verdict.bar.unit,
                "verdict": verdict.word,
            }
            for verdict in verdicts
        ],
    }


def write(figures: Figures, verdicts: Sequence[Verdict], run: Mapping[str, Any], results: Path = RESULTS) -> Path:
    """Write JSON and a picture named like the run, and `latest.json` for a whole run; returns the JSON file."""
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(figures, verdicts, run), indent=2) + "\n"
    file = results / f"{run['name']}.json"
    file.write_text(text)
    if run["isWhole"]:
        (results / "latest.json").write_text(text)
    title = f"alga-tenants {run['name']}: shares of the limit (the line); {_machine(run)}"
    draw(verdicts, title, file.with_suffix(".png"))
    return file


def add_to_history(figures: Figures, run: Mapping[str, Any], results: Path = RESULTS) -> Path:
    """Append a whole run to the history of the folder, draw it again, and return the picture."""
    picture = results / HISTORY_PICTURE
    draw_history(append(make_entry(run, figures), results), picture)
    return picture


def describe_run(
    *, seed: int, is_quick: bool, sections: Sequence[str], is_whole: bool, against: str | None = None
) -> dict[str, Any]:
    """Describe the run: date, commit and machine.

    The name of a partial run lists its sections, and that of a comparison the commit `against` which it is.
    """
    now = datetime.now(UTC)
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    parts = [*([] if is_whole else sections), *(["against", against[:COMMIT_LENGTH]] if against else [])]
    return {
        "name": "-".join([f"{now:%Y-%m-%d}", commit, *parts]),
        "startedAt": now.isoformat(timespec="seconds"),
        "commit": commit,
        "isClean": not _git("status", "--porcelain", "--untracked-files=no"),
        "sections": list(sections),
        "isWhole": is_whole,
        "isQuick": is_quick,
        "seed": seed,
        "against": against,
        "tables": 0,
        "machine": {
            "cores": os.cpu_count(),
            "memoryGiB": round(psutil.virtual_memory().total / GIBIBYTE, 1),
            "loadBefore": os.getloadavg()[0],
            "system": platform.platform(),
            "python": platform.python_version(),
        },
    }


def _topic(figure: Figure) -> str:
    return figure.name.split(".")[0]


def _machine(run: Mapping[str, Any]) -> str:
    machine = run["machine"]
    return f"{machine['cores']} cores, load {machine['loadBefore']:.1f} before{', quick' if run['isQuick'] else ''}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603, S607 - our own words
    return done.stdout.strip()


def _verdict(verdict: Verdict) -> str:
    bar = verdict.bar
    value = "-" if verdict.value is None else _number(verdict.value)
    return f"{verdict.word:<7} {bar.text:<64}  {value:>8} {bar.unit:<3} ({bar.kind} {_number(bar.limit)})"


def _spread(figure: Figure) -> str:
    if len(figure.rounds) < 2:  # noqa: PLR2004 - one has no spread
        return ""
    return f"  [{_number(min(figure.rounds))} to {_number(max(figure.rounds))}, {len(figure.rounds)} rounds]"


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value)}"
    return f"{value:.0f}" if abs(value) >= LARGE else f"{value:.2f}"
