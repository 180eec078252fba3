"""Texts that a browser keeps for us: encrypted for one purpose, and rejected after a time."""

import base64
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.crypto.derived_keys import derive_key

NONCE_BYTES = 12


class SealedTexts:
    """Encrypts JSON objects (AES-256-GCM) with a key that all gateways derive from `NEXTAUTH_SECRET`."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._cipher = AESGCM(derive_key(secret, purpose))

    def seal(self, content: Mapping[str, Any], seconds: float) -> str:
        """Return a text that `open` accepts for the given time. It fits into a cookie or a URL."""
        nonce = os.urandom(NONCE_BYTES)
        plain = json.dumps([time.time() + seconds, content], separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, None)).decode().rstrip("=")

    def open(self, text: str) -> dict[str, Any] | None:
        """Return the content, or None if the text was changed, has expired, or has another purpose."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            expires_at, content = json.loads(self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None))
        except (InvalidTag, ValueError):
            return None
        return dict(content) if time.time() < expires_at else None
