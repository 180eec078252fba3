"""The client's logic as generators that say what to do next, so that one logic serves two transports."""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

import httpx

from app.client.errors import ProblemError, TenantsError

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send this request and resume with the response; throw the `httpx.RequestError` if there is none."""

    method: str
    path: str
    timeout: float
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    # May hold a password.
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Pause:
    """Let the given seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Emit(Generic[T]):
    """Hand a result to the caller."""

    value: T


Effect: TypeAlias = Send | Pause | Emit[T]
Program: TypeAlias = Generator[Effect[T], httpx.Response, None]
Exchange: TypeAlias = Generator[Send | Pause, httpx.Response, httpx.Response]


def advance(
    program: Program[T], outcome: httpx.Response | httpx.RequestError | None = None
) -> Send | Pause | Emit[T] | None:
    """Tell a program what came of its last effect (None for all but `Send`); its next one, or None at its end."""
    try:
        if outcome is None:
            return next(program)
        if isinstance(outcome, httpx.Response):
            return program.send(outcome)
        return program.throw(outcome)
    except StopIteration:
        return None


@dataclass(frozen=True)
class Retries:
    """How often a call is repeated after a passing failure; every call of the client is safe to repeat.

    Between attempts it pauses as long as the gateway asks for, else for doubling times. If the gateway asks for
    more than `max_retry_after` seconds, the refusal is raised at once. Waiting for an operation has more attempts
    than a single call, so that it outlasts a restart of the gateway.
    """

    attempts: int = 3
    attempts_while_waiting: int = 10
    first_delay: float = 0.25
    max_delay: float = 5.0
    max_retry_after: float = 30.0
    notify: Callable[[TenantsError, float], None] | None = None

    def delay(self, attempt: int, failure: TenantsError) -> float | None:
        """Seconds to pause after the given attempt (counted from 1); None to give up."""
        asked = failure.retry_after if isinstance(failure, ProblemError) else None
        if attempt >= self.attempts or (asked is not None and asked > self.max_retry_after):
            return None
        if asked is not None:
            return asked
        delay = min(self.first_delay * (1 << (attempt - 1)), self.max_delay)
        return delay * random.uniform(0.75, 1.25)  # noqa: S311 - keeps clients apart, guards nothing
