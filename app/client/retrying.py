"""The retry policy that both clients follow."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Self

from app.client.errors import ProblemError, TenantsError


@dataclass(frozen=True)
class Retries:
    """How often a call is repeated after a transient failure. Every call of the client is safe to repeat.

    The pause between attempts is the gateway's `Retry-After`, or doubles each time. The error is raised at once if
    the gateway asks for more than `max_retry_after` seconds. Waiting for an operation has more attempts than a single
    call, so that it survives a restart of the gateway.
    """

    attempts: int = 3
    attempts_while_waiting: int = 10
    first_delay: float = 0.25
    max_delay: float = 5.0
    max_retry_after: float = 30.0
    notify: Callable[[TenantsError, float], None] | None = None

    def while_waiting(self) -> Self:
        """Return the policy for each poll of an operation."""
        return replace(self, attempts=max(self.attempts, self.attempts_while_waiting))

    def pause(self, attempt: int, failure: TenantsError, deadline: float = inf) -> float:
        """Announce the next attempt and return the seconds until it; raise the failure if there is none.

        Attempts are counted from 1.
        """
        delay = failure.retry_after if isinstance(failure, ProblemError) else None
        if attempt >= self.attempts or (delay is not None and delay > self.max_retry_after):
            raise failure
        if delay is None:
            delay = min(self.first_delay * 2 ** (attempt - 1), self.max_delay)
            delay *= random.uniform(0.75, 1.25)  # noqa: S311 - spreads the clients, protects nothing
        if time.monotonic() + delay > deadline:
            raise failure
        if self.notify is not None:
            self.notify(failure, delay)
        return delay
