"""The keys that payloads are encrypted with, by their ids: one encrypts, all decrypt, so that keys can change."""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.crypto.derived_keys import KEY_BYTES, derive_key

PURPOSE = "payload encryption"
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
DERIVED = "derived-"
THROWAWAY = "throwaway"


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Keys of 32 bytes by their ids; without `current` nothing can be encrypted."""

    keys: Mapping[str, bytes]
    current: str | None

    @classmethod
    def of(cls, given: str | None, secret: str | None) -> "KeyRing":
        """The ring of `PAYLOAD_KEYS` and `NEXTAUTH_SECRET`, where there are.

        The key that is derived from the secret encrypts where no other is given, and decrypts in any case what it
        has encrypted before others were.
        """
        keys = parse_payload_keys(given) if given is not None else {}
        if secret is not None:
            derived = derive_key(secret, PURPOSE)
            keys[derived_id(derived)] = derived
        return cls(keys, next(iter(keys), None))

    def with_throwaway(self) -> "KeyRing":
        """A ring that encrypts with a key that nobody keeps, for replays, whose commands go nowhere."""
        return KeyRing({**self.keys, THROWAWAY: os.urandom(KEY_BYTES)}, THROWAWAY)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.keys)})"


def parse_payload_keys(text: str) -> dict[str, bytes]:
    """The keys of `id:base64,id:base64`, in their order; raises `ValueError`, which shows no key."""
    keys: dict[str, bytes] = {}
    for number, item in enumerate(text.split(","), start=1):
        key_id, separator, encoded = item.strip().partition(":")
        if not separator or KEY_ID.fullmatch(key_id) is None or key_id.startswith(DERIVED):
            raise ValueError(
                f"key {number} must be `id:key`, the id made of up to 64 letters, digits, `.`, `_` and `-`, "
                f"and not begin with `{DERIVED}`"
            )
        if key_id in keys:
            raise ValueError(f"key {number} has the id of one before it")
        keys[key_id] = _key(number, encoded)
    return keys


def derived_id(key: bytes) -> str:
    """The id of a derived key, by which another secret shows as an unknown key and not as a damaged payload."""
    return f"{DERIVED}{hashlib.sha256(key).hexdigest()[:12]}"


def _key(number: int, encoded: str) -> bytes:
    # Told by its place: where id and key have changed places, the id is the secret.
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"key {number} must be {KEY_BYTES} random bytes in base64, as of `openssl rand -base64 {KEY_BYTES}`"
        )
    return key
