"""The secrets that are shared with Alga or derived from them, and Alga's password algorithm."""

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from activities.alga.passwords import PasswordHasher
from app.settings.base import ProcessSettings

MIN_SECRET_LENGTH = 16


class SecretSettings(ProcessSettings):
    """Keys, which must be long enough in production."""

    nextauth_secret: SecretStr
    """Alga's password key; the same value as in Alga itself."""
    audit_secret: SecretStr | None = Field(default=None, min_length=MIN_SECRET_LENGTH)
    """Key of the audit trail's hashes and of the signatures of API keys, at least 16 characters; derived from
    `NEXTAUTH_SECRET` by default. After a change earlier audit events can't be verified any more, and API keys are
    refused until `alga-tenants keys reseal`."""
    salt_bytes: int = Field(default=12, ge=8, le=64)
    """Alga's password salt, in bytes."""
    iterations: int = Field(default=10_000, ge=1)
    """Alga's PBKDF2 rounds."""
    key_length: int = Field(default=64, ge=16, le=128)
    """Alga's password key, in bytes."""
    algorithm: Literal["sha512", "sha256"] = "sha512"
    """Alga's PBKDF2 digest."""

    @model_validator(mode="after")
    def _refuse_short_secrets(self) -> Self:
        secret = self.nextauth_secret.get_secret_value()
        if not secret:
            raise ValueError("NEXTAUTH_SECRET must not be empty")
        if self.environment == "production" and len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(
                f"NEXTAUTH_SECRET has less than {MIN_SECRET_LENGTH} characters; set the one that Alga itself uses"
            )
        return self

    @cached_property
    def password_hasher(self) -> PasswordHasher:
        """Alga's password algorithm with this installation's key."""
        return PasswordHasher(
            self.nextauth_secret.get_secret_value(),
            salt_bytes=self.salt_bytes,
            iterations=self.iterations,
            key_length=self.key_length,
            algorithm=self.algorithm,
        )
