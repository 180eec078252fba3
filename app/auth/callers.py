"""Who calls: the identity that a request was authenticated as."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """An authenticated caller; `identity` is what operations record, `name` is for people."""

    identity: str
    name: str
