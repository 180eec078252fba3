"""The certificate of a deletion: what was deleted, who asked for it, who confirmed it, and how it was proven."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from activities.canonical_json import canonical

FORMAT_VERSION: Final = 1

Hexadecimal = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["0" * 64])]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


class CertifiedOperation(_Part):
    """The operation that deleted the tenant."""

    workflow_id: str
    run_id: str


class CertifiedTenant(_Part):
    """The deleted tenant, as it was when the deletion was requested."""

    id: UUID
    name: str | None
    product_code: str | None
    created_at: datetime | None


class DisabledTrigger(_Part):
    """A trigger that forbids deleting, and was disabled during the purge."""

    table: str
    trigger: str


class Proof(_Part):
    """How `rowsRemaining` is known."""

    method: str
    tables: int = Field(description="The number of tables that were searched; all that can hold a tenant's rows.")
    kept_tables: tuple[str, ...] = Field(
        description="Tables that were left out: they record deletions, and no foreign key ties them to tenants."
    )


class AuditPlace(_Part):
    """The place of the event `tenant.purge` in the audit trail."""

    sequence: int
    hash: Hexadecimal


class Certificate(_Part):
    """What one deletion removed, and how that is proven."""

    format_version: int = FORMAT_VERSION
    operation: CertifiedOperation
    tenant: CertifiedTenant
    requested_by: str | None = Field(description="The person or credential that requested the deletion.")
    requested_via: str | None = Field(description="The credential of the request.")
    requested_at: datetime
    reason: str | None
    confirmed_by: str | None = Field(description="The person or credential that confirmed the deletion.")
    confirmed_via: str | None = Field(description="The credential of the confirmation.")
    confirmed_at: datetime | None
    confirmation_type: str | None
    grace_period_days: int
    scheduled_for: datetime | None = Field(description="When the grace period ended.")
    purge_started_at: datetime
    purge_finished_at: datetime
    export_id: str | None = Field(description="The export made before; null if there is none.")
    rows_removed: dict[str, int] = Field(description="The deleted rows by table.", examples=[{"tenants": 1}])
    total_rows_removed: int
    rows_remaining: int = Field(description="The tenant's rows after the purge; always 0.")
    proof: Proof
    disabled_triggers: tuple[DisabledTrigger, ...]
    external_resources: tuple[Any, ...] = Field(
        description="Resources outside the database that were listed before the purge."
    )
    audit: AuditPlace

    @property
    def text(self) -> str:
        """The canonical text, which the MAC covers."""
        return canonical(self.model_dump(mode="json"))
