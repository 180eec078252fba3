"""Processor time of whole process trees, read from the operating system."""

from collections.abc import Mapping

import psutil

MILLISECONDS = 1000
TOTAL = "total"


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process, its descendants, and those of them that have ended.

    An ended PostgreSQL backend counts in its parent's time for children.
    """
    root = psutil.Process(pid)
    while True:
        family = [root, *root.children(recursive=True)]
        try:
            seconds = sum(_seconds(process) for process in family)
        except psutil.NoSuchProcess:
            continue
        # A process that ended meanwhile would count twice, or not at all.
        if set(root.children(recursive=True)) == set(family[1:]):
            return seconds


def spent_per_tenant(
    before: Mapping[str, float],
    after: Mapping[str, float],
    *,
    idle: Mapping[str, float],
    seconds: float,
    tenants: int,
) -> dict[str, float]:
    """Return milliseconds a tenant, by process and in total, without what the processes use when idle.

    `before` and `after` are processor seconds, `seconds` apart; `idle` is processor seconds a second.
    """
    spent = {name: (after[name] - before[name] - idle[name] * seconds) / tenants * MILLISECONDS for name in before}
    return {TOTAL: sum(spent.values()), **spent}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
