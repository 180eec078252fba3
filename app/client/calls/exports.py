"""Exports and restores of tenants: the calls of the API, and models of its documents."""

from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import Field

from app.client.calls.tenants import JSON_BODY, Call, Listing, encode, path_of, query_of, read_operation
from app.client.models import Document, Operation, Page
from app.client.responses import read, read_bytes


class ExportProgress(Document):
    """How far a running export is."""

    table: str | None = None
    tables_done: int = 0
    tables_total: int = 0
    rows: int = 0
    bytes: int = 0


class ExportTotals(Document):
    """The size of a complete archive."""

    rows: int = 0
    bytes: int = 0


class Export(Document):
    """An export of a tenant. Only a single export has its `manifest`."""

    export_id: UUID
    tenant_id: UUID
    workflow_id: str
    state: str
    tenant_name: str | None = None
    masked: bool | None = None
    reason: str | None = None
    requested_at: datetime | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    progress: ExportProgress | None = None
    totals: ExportTotals | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    removed_at: datetime | None = None
    manifest_sha256: str | None = None
    manifest: dict[str, Any] | None = None
    manifest_problem: str | None = None
    links: dict[str, str | None] = Field(default_factory=dict)


class ArchivedPart(Document):
    """A file of an archive, as its manifest has it."""

    path: str
    bytes: int
    sha256: str


class ArchivedTable(Document):
    """A table of an archive, as its manifest has it."""

    name: str
    part: ArchivedPart | None = None


class Manifest(Document):
    """What a download needs of a manifest."""

    export_id: str
    tables: tuple[ArchivedTable, ...]


_read_export = partial(read, model=Export)


def create_export(
    tenant_id: UUID | str, *, include_secrets: bool = False, reason: str | None = None
) -> Call[Operation]:
    """Export a tenant; secrets are masked unless `include_secrets`.

    The same request returns the open operation. Its `result` has the `exportId` once it has completed. Raises
    `ConflictError` if another export of the tenant has not ended.
    """
    body = {"includeSecrets": include_secrets} | ({"reason": reason} if reason is not None else {})
    path = f"{path_of('tenants', str(tenant_id))}/exports"
    return Call("POST", path, read_operation, headers=JSON_BODY, body=encode(body))


def exports(tenant_id: UUID | str, *, page_size: int | None = None) -> Listing[Export]:
    """Yield the exports of a tenant, newest first."""
    return Listing(f"{path_of('tenants', str(tenant_id))}/exports", Page[Export], query_of(page_size=page_size))


def all_exports(
    *,
    tenant_id: UUID | str | None = None,
    name: str | None = None,
    state: str | None = None,
    page_size: int | None = None,
) -> Listing[Export]:
    """Yield the exports of all tenants that match, newest first; `name` is a part of the tenant's."""
    filters = query_of(tenant_id=tenant_id, name=name, state=state, page_size=page_size)
    return Listing("/exports", Page[Export], filters)


def export(export_id: UUID | str) -> Call[Export]:
    """Return an export; raise `NotFoundError` if there is none."""
    return Call("GET", path_of("exports", str(export_id)), _read_export)


def delete_export(export_id: UUID | str) -> Call[Export]:
    """Remove the archive of a complete export before it expires."""
    return Call("DELETE", path_of("exports", str(export_id)), _read_export)


def export_manifest(export_id: UUID | str) -> Call[bytes]:
    """Return the file `manifest.json` of an archive."""
    return Call("GET", f"{path_of('exports', str(export_id))}/manifest", read_bytes)


def export_part(export_id: UUID | str, table: str, *, start: int, sha256: str) -> Call[httpx.Response]:
    """Return the call for a part, from a byte on if the part still has that hash."""
    path = f"{path_of('exports', str(export_id))}/parts/{quote(table, safe='')}"
    # A proxy must not compress what is compressed.
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": f'"{sha256}"'}
    return Call("GET", path, lambda response: response, headers=headers)


def restore(export_id: UUID | str, *, dry_run: bool = False) -> Call[Operation]:
    """Restore a deleted tenant from an export.

    A dry run writes nothing. Its `result` has the rows by table in `tables`, the keys that would be drawn from their
    sequences in `drawnAnew`, and what keeps the tenant from being restored in `refusals`.

    Raises `ConflictError` if the tenant exists, or the export has no archive.
    """
    body = {"exportId": str(export_id), "dryRun": dry_run}
    return Call("POST", "/restores", read_operation, headers=JSON_BODY, body=encode(body))
