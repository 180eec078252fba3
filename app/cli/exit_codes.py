"""What the exit statuses of the commands mean; scripts rely on them."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit statuses, each with its meaning for people."""

    meaning: str

    DONE = 0, "success"
    FAILED = 1, "the operation failed"
    INVALID = 2, "invalid usage, settings or request"
    CANCELLED = 3, "the operation was cancelled"
    NOT_FOUND = 4, "no such operation, tenant, export or webhook"
    UNAVAILABLE = 5, "the gateway, the database or Temporal can't be used"
    UNAUTHENTICATED = 6, "the API key or token was rejected"
    CONFLICT = 7, "conflict with the current state, such as a tenant id that is taken"
    TIMED_OUT = 8, "timeout; the operation continues"
    NEEDS_ATTENTION = 9, "the operation waits for a person"
    UNKNOWN_STATUS = 10, "the operation ended with a status unknown to this version"
    WAITING = 11, "the operation waits for a date, and continues by itself"
    INTERRUPTED = 130, "interrupted by Ctrl-C; the operation continues"

    def __new__(cls, value: int, meaning: str) -> Self:
        """Return a member with its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


EXIT_CODES_HELP = "\n".join(("Exit status:", *(f"{code:>3}  {code.meaning}" for code in ExitCode)))
