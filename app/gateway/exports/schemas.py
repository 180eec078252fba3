"""Documents of exports, and requests for exports and restores."""

from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from activities.export.archive import MaskedColumn, Part, Totals
from activities.export.rows import ExportRecord, ExportState
from activities.tenants.request import RequestModel
from app.gateway.http.problems.problem import Document
from app.gateway.operations.schemas import Reason, omitted_if_none
from workflows.operations.statuses import OperationStatus


class ExportBody(RequestModel):
    """A request to export a tenant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"includeSecrets": False}]})

    include_secrets: bool = Field(
        default=False,
        description="Whether the archive holds secrets, such as hashed passwords; they are masked otherwise.",
        strict=True,
    )
    reason: Reason | None = Field(default=None, min_length=1, description="Why.", examples=["move to another region"])


class RestoreBody(RequestModel):
    """A request to restore a tenant."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"exportId": "6f1c2a9e-4b7d-4e52-9a51-2d1f8c7b3e60", "dryRun": True}]}
    )

    export_id: UUID = Field(description="The export, which holds the tenant's id.")
    dry_run: bool = Field(
        default=False,
        description="Write nothing. The operation's `result` says what would be restored (`tables`, `rows`), which"
        " keys would be drawn anew from sequences (`drawnAnew`), and what would be refused and why (`refusals`).",
        strict=True,
    )


class ExportLinks(Document):
    """Paths of the export; those of the archive are null unless it can be fetched."""

    self: str
    tenant: str
    operation: str
    manifest: str | None
    content: str | None


class ExportProgress(Document):
    """How far a running export is."""

    table: str | None = Field(description="The table that is being exported.")
    tables_done: int
    tables_total: int = Field(description="0 until they are known.")
    rows: int
    bytes: int = Field(description="Compressed bytes so far.")


class ExportTotals(Document):
    """The size of a complete archive."""

    rows: int
    bytes: int = Field(description="Bytes of all parts, compressed.")


class ExportDocument(Document):
    """An export of a tenant."""

    model_config = ConfigDict(from_attributes=True)

    export_id: UUID
    tenant_id: UUID
    tenant_name: str | None
    workflow_id: str = Field(
        description="The operation that has made the export: of its own, or a deletion. An imported archive has none"
        " here, and an id that begins with `archive-import-`."
    )
    state: ExportState
    masked: bool = Field(description="Whether secrets are masked.")
    reason: str | None
    requested_at: datetime
    requested_by: str | None
    requested_via: str | None
    progress: ExportProgress | None = Field(description="Null unless the export is running.")
    totals: ExportTotals | None = Field(description="Null until the export is complete.")
    completed_at: datetime | None
    expires_at: datetime | None = Field(description="When the archive is removed.")
    removed_at: datetime | None = Field(description="When the archive was removed.")
    manifest_sha256: str | None = Field(description="The hash of `manifest.json`.")
    links: ExportLinks

    @classmethod
    def of(cls, record: ExportRecord, status: OperationStatus | None, **more: Any) -> Self:
        """Return the document of an export, whose operation has that status, or no row any more."""
        state = state_of(record, status)
        path = f"/exports/{record.export_id}"
        is_kept = state is ExportState.COMPLETED
        links = ExportLinks(
            self=path,
            tenant=f"/tenants/{record.tenant_id}",
            operation=f"/operations/{record.workflow_id}",
            manifest=f"{path}/manifest" if is_kept else None,
            content=f"{path}/content" if is_kept else None,
        )
        progress = ExportProgress(
            table=record.current_table,
            tables_done=record.tables_done,
            tables_total=record.tables_total,
            rows=record.rows,
            bytes=record.bytes,
        )
        return cls(
            **{name: value for name, value in vars(record).items() if name in cls.model_fields},
            state=state,
            masked=not record.include_secrets,
            progress=progress if state is ExportState.RUNNING else None,
            totals=ExportTotals(rows=record.rows, bytes=record.bytes) if record.completed_at is not None else None,
            links=links,
            **more,
        )


class TableDocument(Document):
    """A table in an archive."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    rows: int
    part: Part | None = Field(description="Null if the tenant has no rows of the table.")
    masked: tuple[MaskedColumn, ...]
    dropped_rows: int
    dropped_because: str | None


class ManifestDocument(Document):
    """What an archive holds: the manifest without the columns of its tables."""

    model_config = ConfigDict(from_attributes=True)

    format_version: int
    created_at: datetime = Field(description="The moment of the snapshot.")
    product_version: str = Field(description="The version of alga-tenants that wrote the archive.")
    schema_fingerprint: str = Field(description="The hash of the structure of all tables.")
    tables: tuple[TableDocument, ...]
    masked_unlisted: tuple[str, ...] = Field(
        description="Columns that were masked because of their names alone, as `table.column`."
    )
    totals: Totals


class ExportDetails(ExportDocument):
    """An export, with the content of its archive."""

    manifest: ManifestDocument | None = Field(description="Null unless the archive can be fetched.")
    manifest_problem: str | None = omitted_if_none(
        "The code of the problem, if a complete archive can't be read now.", examples=["export-storage-unavailable"]
    )


class ExportList(Document):
    """A page of exports, newest first."""

    exports: tuple[ExportDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")


class PresignedDocument(Document):
    """A link to a part, which needs no key."""

    url: str = Field(description="Anyone who has it can read the part.")
    expires_at: datetime


def state_of(record: ExportRecord, status: OperationStatus | None) -> ExportState:
    """Return the state of an export, whose operation has that status, or no row any more."""
    if record.completed_at is not None:
        has_expired = record.expires_at is not None and record.expires_at <= datetime.now(UTC)
        return ExportState.EXPIRED if has_expired or record.removed_at is not None else ExportState.COMPLETED
    if status is not None and status.is_open:
        return ExportState.RUNNING
    return ExportState.CANCELLED if status is OperationStatus.CANCELLED else ExportState.FAILED
