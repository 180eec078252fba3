"""Knows which regular activities run in a worker, and which of them Temporal has given up."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

Clock = Callable[[], float]


class RunningActivities(Interceptor):
    """Interceptor of a worker that keeps the time until which Temporal waits for each regular activity."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._running: set[_Timed] = set()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Return the interceptor of an activity."""
        return _Timed(next, self._running, self._clock)

    def are_full(self, slots: int) -> bool:
        """Return whether activities use all slots and Temporal still waits for at least one of them."""
        now = self._clock()
        return len(self._running) >= slots and any(now < timed.given_up_at for timed in self._running)


class _Timed(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, running: "set[_Timed]", clock: Clock) -> None:
        super().__init__(following)
        self._running = running
        self._clock = clock
        self._must_end_at = self._must_beat_at = clock()

    @property
    def given_up_at(self) -> float:
        return min(self._must_end_at, self._must_beat_at)

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_Heartbeats(outbound, self.beat))

    def beat(self) -> None:
        self._must_beat_at = self._clock() + _seconds(activity.info().heartbeat_timeout)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        if info.is_local:
            return await super().execute_activity(input)
        self._must_end_at = self._clock() + _seconds(info.start_to_close_timeout)
        self.beat()
        self._running.add(self)
        try:
            return await super().execute_activity(input)
        finally:
            self._running.discard(self)


class _Heartbeats(ActivityOutboundInterceptor):
    def __init__(self, following: ActivityOutboundInterceptor, on_beat: Callable[[], None]) -> None:
        super().__init__(following)
        self._on_beat = on_beat

    def heartbeat(self, *details: Any) -> None:
        self._on_beat()
        super().heartbeat(*details)


def _seconds(limit: timedelta | None) -> float:
    return limit.total_seconds() if limit else float("inf")
