"""Signs rows of API keys with a key that the database does not hold."""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "API key rows"
# All columns that grant rights or record where they come from.
SIGNED_COLUMNS = (
    *("key_id", "name", "caller_id", "scopes", "tenant_id", "secret_hash"),
    *("created_by", "created_at", "expires_at", "revoked_at"),
)


class ApiKeySigner:
    """Computes the MAC of rows under a key that is derived from a secret.

    Alga's role can write our tables, so a row alone proves nothing. docs/security.md describes the remaining risk.
    """

    def __init__(self, secret: str) -> None:
        self._key = derive_key(secret, PURPOSE)

    def sign(self, row: Mapping[str, Any]) -> bytes:
        """Return the MAC (HMAC-SHA-256) of a row, given by its columns."""
        content = json.dumps([_canonical(row[name]) for name in SIGNED_COLUMNS], separators=(",", ":"))
        return hmac.digest(self._key, content.encode(), sha256)

    def verifies(self, row: Mapping[str, Any]) -> bool:
        """Return whether the row's MAC is valid."""
        return row["mac"] is not None and hmac.compare_digest(row["mac"], self.sign(row))


def api_key_signer(settings: Settings) -> ApiKeySigner:
    """Return a signer for the secret in `AUDIT_SECRET`, or in `NEXTAUTH_SECRET` if that is not set."""
    return ApiKeySigner((settings.audit_secret or settings.nextauth_secret).get_secret_value())


def _canonical(value: object) -> str | None:
    match value:
        case None | str():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case UUID():
            return str(value)
        case _:
            raise TypeError(f"the MAC of an API key can't cover a {type(value).__name__}")
