"""Request and response bodies for API keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from activities.tenants.request import RequestModel, whole_number
from app.auth.keys.management import CreatedKey
from app.auth.keys.records import ApiKeyRecord, KeyState
from app.auth.scopes import DEFAULT_SCOPES, Scope, in_order, scopes_among
from app.gateway.http.problems.problem import Document

MAX_NAME_LENGTH = 100
MAX_LIFETIME_DAYS = 3650
MAX_OVERLAP_HOURS = 24 * 90
DEFAULT_OVERLAP_HOURS = 24


def check_key_name(value: str) -> str:
    """Return the name without surrounding spaces, or raise `PydanticCustomError` if it is not readable."""
    name = value.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise PydanticCustomError("key_name", f"must be 1 to {MAX_NAME_LENGTH} printable characters")
    return name


class _ExpiringKeyRequest(RequestModel):
    expires_in_days: (
        Annotated[int, Field(ge=1, le=MAX_LIFETIME_DAYS, strict=True), BeforeValidator(whole_number)] | None
    ) = Field(default=None, description="By default the key never expires.")

    @property
    def expires_in(self) -> timedelta | None:
        return timedelta(days=self.expires_in_days) if self.expires_in_days is not None else None


class NewApiKeyRequest(_ExpiringKeyRequest):
    """The key to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "admin UI", "scopes": ["tenants:read"], "expiresInDays": 90}]}
    )

    name: Annotated[str, AfterValidator(check_key_name)] = Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        examples=["admin UI"],
        description="Whose key it is, for people.",
        json_schema_extra={"pattern": "^[ -~]*[!-~][ -~]*$"},
    )
    scopes: frozenset[Scope] = Field(
        default=DEFAULT_SCOPES,
        min_length=1,
        description="What the key may do. You need these scopes yourself.",
        # Duplicates are allowed.
        json_schema_extra={"uniqueItems": False},
    )
    tenant_id: UUID | None = Field(
        default=None, description="Binds the key to one tenant, so that it can see no other."
    )


class RotateRequest(_ExpiringKeyRequest):
    """How a key replaces another: as the same caller if it rotates itself, else as a caller of its own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlapHours": DEFAULT_OVERLAP_HOURS}]})

    overlap_hours: Annotated[int, Field(ge=0, le=MAX_OVERLAP_HOURS, strict=True), BeforeValidator(whole_number)] = (
        Field(default=DEFAULT_OVERLAP_HOURS, description="How long the old key keeps working.")
    )


class ApiKeyDocument(Document):
    """An API key, without its secret."""

    id: str = Field(examples=["Qm3ZxT8bLw2K"])
    name: str
    state: KeyState = Field(
        description="Only an `active` key can be used. The row of a `forged` key was changed in the database."
    )
    scopes: tuple[Scope, ...]
    tenant_id: UUID | None
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="Accurate to a minute.")


class CreatedApiKeyDocument(ApiKeyDocument):
    """A new key with its secret, this once."""

    key: str = Field(repr=False, description="The secret key. Keep it: it can't be shown again.")


class ApiKeyList(Document):
    """All keys, oldest first."""

    keys: tuple[ApiKeyDocument, ...]


def key_document(record: ApiKeyRecord) -> ApiKeyDocument:
    """Return the document of a key."""
    scopes = in_order(scopes_among(record.scopes))
    fields = {**vars(record), "id": record.key_id, "state": record.state(datetime.now(UTC)), "scopes": scopes}
    return ApiKeyDocument.model_validate(fields)


def created_key_document(created: CreatedKey) -> CreatedApiKeyDocument:
    """Return the document of a new key, with its secret."""
    return CreatedApiKeyDocument(**dict(key_document(created.record)), key=created.key)
