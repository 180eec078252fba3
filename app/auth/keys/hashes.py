"""Hashes of secrets: argon2id in threads of their own, few at a time, and never twice for one good secret."""

import asyncio
import hashlib
import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's least for argon2id, in the variant that takes the least memory: 7 MiB, 5 passes, one lane. More would
# only slow callers down, because a secret of 256 random bits can't be guessed however fast guesses are.
HASHER = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)

# The event loop needs a processor as well; where there is one only, the system shares it by niceness.
THREADS = max(1, (os.cpu_count() or 1) // 2)
NICENESS = 10

MOST_PROVEN = 10_000

ResultT = TypeVar("ResultT")
ArgumentTs = TypeVarTuple("ArgumentTs")


class SecretHashes:
    """Hashes and verifies.

    A secret that has matched its hash is remembered as proven, by a keyed digest that only this process can make:
    so a caller whose key was good before never waits behind those who try wrong ones.
    """

    def __init__(self) -> None:
        # argon2 releases the interpreter's lock, so that threads do run beside the event loop.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2", initializer=_be_nice)
        self._pepper = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._nobodys_hash: str | None = None
        self.waiting = 0
        """How many are being hashed or wait for it."""

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, secret: str) -> str:
        """The hash to keep in the secret's place."""
        return await self._in_thread(HASHER.hash, secret)

    async def verify(self, secret_hash: str, secret: str) -> bool:
        """Whether the hash is the secret's."""
        proof = self._proof(secret_hash, secret)
        if proof in self._proven:
            self._proven.move_to_end(proof)
            return True
        if not await self._in_thread(_matches, secret_hash, secret):
            return False
        self._proven[proof] = None
        if len(self._proven) > MOST_PROVEN:
            self._proven.popitem(last=False)
        return True

    async def verify_nobody(self, secret: str) -> None:
        """Take the time that a wrong secret takes."""
        if self._nobodys_hash is None:
            self._nobodys_hash = await self.hash(secrets.token_urlsafe())
        await self._in_thread(_matches, self._nobodys_hash, secret)

    def _proof(self, secret_hash: str, secret: str) -> bytes:
        return hmac.digest(self._pepper, f"{secret_hash} {secret}".encode(), hashlib.sha256)

    async def _in_thread(self, function: Callable[[*ArgumentTs], ResultT], *arguments: *ArgumentTs) -> ResultT:
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self.waiting -= 1


def _be_nice() -> None:
    """Let the event loop go first. Only Linux has niceness by thread."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return HASHER.verify(secret_hash, secret)
    except (VerificationError, InvalidHashError):
        return False
