"""Callers of credentials that were verified a few seconds ago."""

import time
from datetime import UTC, datetime
from typing import Generic, TypeVar

from app.auth.callers import Caller
from app.auth.keys.api_keys import VerifiedKey
from app.bounded_dict import BoundedDict

# A revoked key works at most this long. Hashing or looking it up for every request takes longer than most requests.
REMEMBERED_SECONDS = 5.0
MAX_REMEMBERED = 10_000

CredentialT = TypeVar("CredentialT")


class RememberedCallers(Generic[CredentialT]):
    """The callers of API keys by what was presented, each for `REMEMBERED_SECONDS` and not past the key's expiry."""

    def __init__(self) -> None:
        self._callers: BoundedDict[CredentialT, tuple[float, Caller]] = BoundedDict(MAX_REMEMBERED)

    def find(self, credential: CredentialT) -> Caller | None:
        """Return the caller of a credential that was found valid a few seconds ago, or None."""
        until, caller = self._callers.get(credential, (0.0, None))
        return caller if time.monotonic() < until else None

    def note(self, credential: CredentialT, verified: VerifiedKey | None) -> Caller | None:
        """Remember what a look at the key has found, and return the caller; None if the key is not valid."""
        if verified is None:
            self.forget(credential)
            return None
        seconds = REMEMBERED_SECONDS
        if verified.expires_at is not None:
            seconds = min(seconds, (verified.expires_at - datetime.now(UTC)).total_seconds())
        self._callers[credential] = (time.monotonic() + seconds, verified.caller)
        return verified.caller

    def forget(self, credential: CredentialT) -> None:
        """Let the next look decide, because the key was revoked by this process."""
        self._callers.pop(credential, None)
