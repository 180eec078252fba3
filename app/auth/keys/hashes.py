"""Hashes of secrets: argon2id in a few threads of their own, once per valid secret."""

import asyncio
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.bounded_dict import BoundedDict

# OWASP's minimum for argon2id, in the variant with the least memory: 7 MiB, 5 passes, one lane. More would only
# slow callers down, because a secret of 256 random bits can't be guessed however fast guesses are.
HASHER = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)

# The event loop needs a processor as well. If there is only one, it is shared by niceness.
THREADS = max(1, (os.cpu_count() or 1) // 2)
NICENESS = 10

MAX_KNOWN_GOOD = 10_000

ResultT = TypeVar("ResultT")


class SecretHashes:
    """Hashes and verifies secrets.

    A secret that has matched its hash is remembered by a keyed digest that only this process can compute. So a caller
    whose key was valid before never waits behind callers that try wrong ones.
    """

    def __init__(self) -> None:
        # argon2 releases the interpreter's lock, so these threads do run beside the event loop.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2", initializer=_be_nice)
        self._pepper = secrets.token_bytes(32)
        self._known_good: BoundedDict[bytes, None] = BoundedDict(MAX_KNOWN_GOOD)
        self._dummy_hash: str | None = None
        self.waiting = 0
        """How many secrets are being hashed or wait to be."""

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, secret: str) -> str:
        """Return the hash to store instead of the secret."""
        return await self._in_thread(HASHER.hash, secret)

    async def verify(self, secret_hash: str, secret: str) -> bool:
        """Return whether the secret has this hash."""
        proof = hmac.digest(self._pepper, f"{secret_hash} {secret}".encode(), hashlib.sha256)
        is_match = proof in self._known_good or await self._in_thread(_matches, secret_hash, secret)
        if is_match:
            self._known_good[proof] = None
        return is_match

    async def verify_dummy(self, secret: str) -> None:
        """Take as long as the verification of a wrong secret."""
        if self._dummy_hash is None:
            self._dummy_hash = await self.hash(secrets.token_urlsafe())
        await self._in_thread(_matches, self._dummy_hash, secret)

    async def _in_thread(self, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self.waiting -= 1


def _be_nice() -> None:
    """Give the event loop priority. Only Linux has niceness by thread."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return HASHER.verify(secret_hash, secret)
    except (VerificationError, InvalidHashError):
        return False
