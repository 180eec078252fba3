"""The keys of payloads by their ids. One key encrypts and all decrypt, so that keys can be rotated."""

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
    """Keys of 32 bytes by their ids. Without `current`, nothing can be encrypted."""

    keys: Mapping[str, bytes]
    current: str | None

    @classmethod
    def of(cls, given: str | None, secret: str | None) -> "KeyRing":
        """Return the key ring for `PAYLOAD_KEYS` and `NEXTAUTH_SECRET`, if they are set.

        The key that is derived from the secret encrypts if no other key is given. In any case it decrypts.
        """
        keys = parse_payload_keys(given) if given is not None else {}
        if secret is not None:
            derived = derive_key(secret, PURPOSE)
            keys[derived_id(derived)] = derived
        return cls(keys, next(iter(keys), None))

    def with_throwaway(self) -> "KeyRing":
        """Return a key ring that encrypts with a throwaway key, for replays, whose commands are discarded."""
        return KeyRing({**self.keys, THROWAWAY: os.urandom(KEY_BYTES)}, THROWAWAY)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.keys)})"


def parse_payload_keys(text: str) -> dict[str, bytes]:
    """Return the keys of `id:base64,id:base64` in order. The text of a `ValueError` contains no key."""
    # Errors name a key by its number, because an id may be a key if the two were swapped.
    keys: dict[str, bytes] = {}
    for number, item in enumerate(text.split(","), start=1):
        key_id, separator, encoded = item.strip().partition(":")
        if not separator or KEY_ID.fullmatch(key_id) is None or key_id.startswith(DERIVED):
            raise ValueError(
                f"key {number} must be `id:key`, the id with up to 64 letters, digits, `.`, `_` and `-`, "
                f"and not begin with `{DERIVED}`"
            )
        if key_id in keys:
            raise ValueError(f"key {number} has the same id as an earlier key")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"key {number} must be {KEY_BYTES} random bytes in base64, as from `openssl rand -base64 {KEY_BYTES}`"
            )
        keys[key_id] = key
    return keys


def derived_id(key: bytes) -> str:
    """Return the id of a derived key. After a change of the secret, payloads thus name an unknown key."""
    return f"{DERIVED}{hashlib.sha256(key).hexdigest()[:12]}"
