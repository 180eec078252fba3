"""The secrets of webhooks: how they are kept, and how they sign as Standard Webhooks say."""

import base64
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32
NONCE_BYTES = 12


class SecretUnreadableError(Exception):
    """The ciphertext was changed, belongs to another webhook or URL, or was made with another key."""


def new_secret() -> str:
    """Return a random secret."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


class SecretBox:
    """Encrypts secrets (AES-256-GCM) with a key that the database does not hold.

    A ciphertext can only be read together with the id and the URL of its webhook, so nothing is signed for a URL that
    was changed in the database.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, webhook_id: UUID, url: str, secret: str) -> bytes:
        """Return the ciphertext of a secret."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), _associated(webhook_id, url))

    def open(self, webhook_id: UUID, url: str, ciphertext: bytes) -> str:
        """Return the secret; raises `SecretUnreadableError`."""
        nonce, encrypted = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, encrypted, _associated(webhook_id, url)).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadableError from None


def signature_headers(event_id: UUID, body: str, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """Return the headers of a request, with one signature for each secret."""
    moment = at.astimezone(UTC)
    signatures = [Webhook(secret).sign(str(event_id), moment, body) for secret in secrets]
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _associated(webhook_id: UUID, url: str) -> bytes:
    return json.dumps([str(webhook_id), url]).encode()
