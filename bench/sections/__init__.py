"""The sections of the benchmark, in the order of measurement."""

from collections.abc import Awaitable, Callable, Mapping

from bench.context import Context
from bench.sections import (
    console,
    database,
    directory,
    events,
    export,
    latency,
    polling,
    posting,
    purge,
    resources,
    scale,
    throughput,
)

Measure = Callable[[Context], Awaitable[None]]

SECTIONS: Mapping[str, Measure] = {
    "latency": latency.measure,
    "posting": posting.measure,
    "throughput": throughput.measure,
    "events": events.measure,
    "database": database.measure,
    "polling": polling.measure,
    "resources": resources.measure,
    # Last, because its tenants stay.
    "directory": directory.measure,
    "export": export.measure,
    "purge": purge.measure,
}
# Only on request: one takes several minutes, and both fill the tables that other sections use.
EXTRA: Mapping[str, Measure] = {"scale": scale.measure, "console": console.measure}
