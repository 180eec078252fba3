"""What the exit statuses of the commands mean; scripts rely on them."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit statuses, each with its meaning in words."""

    meaning: str

    DONE = 0, "done"
    FAILED = 1, "the operation failed"
    INVALID = 2, "wrong usage, settings or request"
    CANCELLED = 3, "the operation was cancelled"
    NOT_FOUND = 4, "no such operation or tenant"
    UNAVAILABLE = 5, "the gateway can't be reached, or can't do its work now"
    UNAUTHENTICATED = 6, "the API key or token was refused"
    CONFLICT = 7, "refused as things stand: the tenant id is taken, or it is too late"
    TIMED_OUT = 8, "time ran out; the operation goes on"
    NEEDS_ATTENTION = 9, "the operation waits for a person"
    UNKNOWN_STATUS = 10, "the operation ended with a status that this version does not know"
    INTERRUPTED = 130, "Ctrl-C; the operation goes on"

    def __new__(cls, value: int, meaning: str) -> Self:
        """An integer that knows its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


EXIT_CODES_HELP = "\n".join(("Exit status:", *(f"{code:>3}  {code.meaning}" for code in ExitCode)))
