"""The history of whole runs: a line of JSON for each, with its key figures."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.reporting.figures import Figures

FILE = "history.jsonl"
# Medians of a run; those of another machine can't be compared with them.
MEDIANS: Mapping[str, str] = {
    "latency.tenant": "end to end, ms",
    "posting.post": "POST until 202, ms",
    "throughput.100.tenants": "tenants a second, 100 in flight",
    "database.round_trips": "round trips to the database a tenant",
    "polls.finished.1": "polls of finished operations a second",
    "purge.purge": "purge of a million rows, s",
    "processor.gateway": "gateway",
    "processor.worker": "worker",
    "processor.postgres": "PostgreSQL",
    "processor.temporal": "Temporal",
}


@dataclass(frozen=True)
class KeyRatio:
    """A figure as a multiple of another one of the same run, and the limit of its bar."""

    name: str
    label: str
    figure: str
    floor: str
    limit: float


RATIOS: Sequence[KeyRatio] = (
    KeyRatio("latency", "end to end, of an empty workflow", "latency.tenant", "latency.empty", 1.6),
    KeyRatio("posting", "POST, of one start_workflow", "posting.post", "posting.start", 4.0),
    KeyRatio("throughput", "throughput, of no-op steps", "throughput.100.tenants", "throughput.100.steps", 0.65),
    KeyRatio("database", "database time, of COPY", "database.time", "database.copy", 1.3),
    KeyRatio("polls", "polls of finished ones, of a bare route", "polls.finished.1", "polls.route", 0.6),
    KeyRatio("purge", "purge, of plain DELETEs", "purge.purge", "purge.deletes", 2.0),
)


@dataclass(frozen=True)
class Entry:
    """A whole run: what ran where, and its key figures. One that was not measured is absent."""

    date: str
    commit: str
    is_clean: bool
    cores: int
    load_before: float
    medians: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


def make_entry(run: Mapping[str, Any], figures: Figures) -> Entry:
    """Return the entry of a run that `describe_run` describes."""
    medians = {name: figures.get(name) for name in MEDIANS}
    ratios = {ratio.name: figures.ratio(ratio.figure, ratio.floor) for ratio in RATIOS}
    return Entry(
        date=run["startedAt"],
        commit=run["commit"],
        is_clean=run["isClean"],
        cores=run["machine"]["cores"],
        load_before=round(run["machine"]["loadBefore"], 2),
        medians=_rounded(medians),
        ratios=_rounded(ratios),
    )


def append(entry: Entry, folder: Path) -> list[Entry]:
    """Append an entry to the history in the folder, and return all entries, oldest first."""
    with (folder / FILE).open("a") as file:
        file.write(json.dumps(asdict(entry)) + "\n")
    return read(folder)


def read(folder: Path) -> list[Entry]:
    """Return the entries of the history in the folder, oldest first."""
    return [Entry(**json.loads(line)) for line in (folder / FILE).read_text().splitlines()]


def processor_line(figures: Figures) -> str | None:
    """Return the processor time a tenant by process, None if it was not measured."""
    parts = [
        (MEDIANS[name], value)
        for name in MEDIANS
        if name.startswith("processor.") and (value := figures.get(name)) is not None
    ]
    if not parts:
        return None
    shares = ", ".join(f"{label} {value:.1f}" for label, value in parts)
    return f"processor time a tenant: {sum(value for _, value in parts):.1f} ms ({shares})"


def _rounded(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items() if value is not None}


def series(entries: Iterable[Entry], name: str, *, is_ratio: bool) -> list[tuple[int, float]]:
    """Return the places of the runs that have the figure, and its values."""
    values = ((place, (entry.ratios if is_ratio else entry.medians).get(name)) for place, entry in enumerate(entries))
    return [(place, value) for place, value in values if value is not None]
