"""Notices a worker that runs but has stopped polling Temporal for work (docs/adr/0036-polls-for-liveness.md)."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from app.probes import Check, CheckFailedError

# All in seconds. Without work, polls begin at most 60 s apart.
MAX_SILENCE = 300.0
# How much of a longer time between two checks counts: the process may have been stopped meanwhile.
MAX_COUNTED_GAP = 30.0
# Less than the time limit of a check.
RESPONSE_TIMEOUT = 1.0

log = structlog.get_logger(__name__)


@dataclass
class _Poller:
    work: str
    operation: str
    can_pause: Callable[[], bool]
    polls: float = 0.0
    silent: float = 0.0


def _never() -> bool:
    return False


class PollWatch:
    """Watches the number of polls that the SDK has begun, by kind of work.

    `count_polls` returns that number for an operation of Temporal's API. `is_full` says whether activities use all
    slots and can still end; nothing polls for activities then. `check_temporal` raises `CheckFailedError` if Temporal
    doesn't respond.
    """

    def __init__(
        self,
        count_polls: Callable[[str], float],
        is_full: Callable[[], bool],
        check_temporal: Check,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count_polls = count_polls
        self._check_temporal = check_temporal
        self._clock = clock
        self._checked_at = clock()
        # A workflow task keeps its slot for the seconds of a local activity at most, so that polls never pause.
        self._pollers = (
            _Poller("workflow tasks", "PollWorkflowTaskQueue", _never),
            _Poller("activities", "PollActivityTaskQueue", is_full),
        )

    async def check(self) -> None:
        """Raise `CheckFailedError` if a kind of work was not polled for `MAX_SILENCE` seconds, though it could be."""
        silent = [poller for poller in self._measure() if poller.silent > MAX_SILENCE]
        if silent and await self._temporal_responds():
            problem = ", ".join(f"no poll for {each.work} for {each.silent:.0f} s" for each in silent)
            # The platform restarts the process without a word of the probe's.
            log.error("the worker has stopped polling", reason=problem)
            raise CheckFailedError(problem)
        for poller in silent:
            poller.silent = 0.0

    def _measure(self) -> Iterable[_Poller]:
        now = self._clock()
        gap = min(now - self._checked_at, MAX_COUNTED_GAP)
        self._checked_at = now
        for poller in self._pollers:
            polls = self._count_polls(poller.operation)
            is_well = polls != poller.polls or poller.can_pause()
            poller.polls, poller.silent = polls, 0.0 if is_well else poller.silent + gap
        return self._pollers

    async def _temporal_responds(self) -> bool:
        """Return whether polls could begin: one that can't connect may wait for a long time, which is no hang."""
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT):
                await self._check_temporal()
        except (CheckFailedError, TimeoutError):
            return False
        return True
