"""The documents of API keys: what callers send to make and rotate them, and what they get."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from activities.tenants.request import RequestModel
from app.auth.keys.management import CreatedKey
from app.auth.keys.records import ApiKeyRecord, KeyState
from app.auth.scopes import DEFAULT_SCOPES, Scope, in_order, scopes_among
from app.gateway.http.problems.problem import Document

MAX_NAME_LENGTH = 100
MAX_LIFETIME_DAYS = 3650
MAX_OVERLAP_HOURS = 24 * 90
DEFAULT_OVERLAP_HOURS = 24


def check_key_name(value: str) -> str:
    """The name without space around it; raises `PydanticCustomError` for one that can't be read."""
    name = value.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise PydanticCustomError("key_name", f"must be 1 to {MAX_NAME_LENGTH} printable characters")
    return name


ExpiresInDays = Annotated[
    int | None, Field(default=None, ge=1, le=MAX_LIFETIME_DAYS, description="Never expires without it.")
]


class NewApiKeyRequest(RequestModel):
    """The key that is wanted."""

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
        description="What it may do: at most what you may do yourself.",
        # One that is named twice counts once.
        json_schema_extra={"uniqueItems": False},
    )
    tenant_id: UUID | None = Field(default=None, description="Binds it to one tenant; it sees nothing of others.")
    expires_in_days: ExpiresInDays


class RotateRequest(RequestModel):
    """How one key follows another: as the same caller if it rotates itself, else as a caller of its own."""

    overlap_hours: int = Field(
        default=DEFAULT_OVERLAP_HOURS,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="How long the old key works beside the new one.",
    )
    expires_in_days: ExpiresInDays


class ApiKeyDocument(Document):
    """One API key, without its secret."""

    id: str = Field(examples=["Qm3ZxT8bLw2K"])
    name: str
    state: KeyState = Field(
        description="Only an `active` key opens anything. `forged`: its row was changed in the database."
    )
    scopes: tuple[Scope, ...]
    tenant_id: UUID | None
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="Exact to a minute.")


class CreatedApiKeyDocument(ApiKeyDocument):
    """A new key with its secret, this once."""

    key: str = Field(repr=False, description="Keep it: it can't be shown again.")


class ApiKeyList(Document):
    """All keys, oldest first."""

    keys: tuple[ApiKeyDocument, ...]


def key_document(record: ApiKeyRecord) -> ApiKeyDocument:
    """The key as callers see it."""
    return ApiKeyDocument(**_fields(record))


def created_key_document(created: CreatedKey) -> CreatedApiKeyDocument:
    """The new key with its secret."""
    return CreatedApiKeyDocument(**_fields(created.record), key=created.key)


def _fields(record: ApiKeyRecord) -> dict[str, object]:
    return {
        "id": record.key_id,
        "name": record.name,
        "state": record.state(datetime.now(UTC)),
        "scopes": in_order(scopes_among(record.scopes)),
        "tenant_id": record.tenant_id,
        "created_by": record.created_by,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
    }
