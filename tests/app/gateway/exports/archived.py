"""Archives as the worker leaves them: files in a store, and a row in `exports`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol
from uuid import UUID, uuid4

import asyncpg
import httpx
import obstore
from obstore.store import S3Store

from activities.export.archive import ArchivedColumn, ArchivedTable, Manifest, part_path, totals_of
from activities.export.packing import BLOCK, Packer
from activities.export.storage import ArchiveStore
from tests.app.gateway.rows import insert, record
from tests.app.gateway.server import PATIENCE
from tests.support.waiting import wait_until

SNAPSHOT = datetime(2025, 3, 1, 12, tzinfo=UTC)
TABLES = {"tenants": b"tenant,client_name\n1,Acme\n", "users": b"tenant,email\n1,ada@acme.example\n", "tickets": b""}


class Files(Protocol):
    """Changes files of a store behind the service's back."""

    def put(self, path: str, content: bytes) -> None: ...

    def delete(self, path: str) -> None: ...


@dataclass(frozen=True)
class Folder:
    """The files of a folder."""

    root: Path

    def put(self, path: str, content: bytes) -> None:
        (self.root / path).write_bytes(content)

    def delete(self, path: str) -> None:
        (self.root / path).unlink()


@dataclass(frozen=True)
class Bucket:
    """The objects of a bucket."""

    store: S3Store

    def put(self, path: str, content: bytes) -> None:
        obstore.put(self.store, path, content)

    def delete(self, path: str) -> None:
        obstore.delete(self.store, path)


@dataclass(frozen=True)
class Stored:
    """An archive in a store."""

    export_id: UUID
    tenant_id: UUID
    workflow_id: str
    folder: str
    manifest: Manifest
    parts: Mapping[str, bytes]

    @property
    def path(self) -> str:
        return f"/exports/{self.export_id}"

    def file(self, name: str) -> str:
        """Return the path of a file in the store."""
        return f"{self.folder}/{name}"

    def part(self, table: str) -> str:
        """Return the path of a part in the store."""
        return self.file(part_path(table))


def incompressible(size: int) -> bytes:
    """Return bytes that compression does not make smaller."""
    return Random("exports").randbytes(size)  # noqa: S311 - repeatable on purpose


def pack(table: str, content: bytes) -> tuple[ArchivedTable, bytes]:
    """Return a table of a manifest with its compressed content."""
    packer = Packer()
    packed = [packer.add(content[start : start + BLOCK]) for start in range(0, len(content), BLOCK)]
    packed.append(packer.end())
    archived = ArchivedTable(
        name=table,
        tenant_column="tenant",
        columns=(ArchivedColumn(name="tenant", type="uuid"),),
        rows=content.count(b"\n"),
        part=packer.part(part_path(table)) if content else None,
    )
    return archived, b"".join(packed)


async def store_archive(
    database: asyncpg.Connection,
    store: ArchiveStore,
    tables: Mapping[str, bytes] = TABLES,
    *,
    tenant_id: UUID | None = None,
    **row: Any,
) -> Stored:
    """Write a complete archive and its row."""
    tenant_id, export_id = tenant_id or uuid4(), uuid4()
    folder = f"{tenant_id}/{export_id}/{uuid4().hex}"
    packed = [pack(name, content) for name, content in tables.items()]
    archived = tuple(table for table, _ in packed)
    manifest = Manifest(
        export_id=str(export_id),
        tenant_id=tenant_id,
        tenant_name="Acme",
        product="psa",
        created_at=SNAPSHOT,
        product_version="0.2.0",
        requested_by="tests",
        masked=True,
        schema_fingerprint="0" * 64,
        masked_unlisted=(),
        tables=archived,
        totals=totals_of(archived),
    )
    parts = {table.name: content for table, content in packed if table.part is not None}
    files = {part_path(name): content for name, content in parts.items()}
    for name, content in {**files, "manifest.json": manifest.text.encode()}.items():
        async with store.write(f"{folder}/{name}") as writer:
            await writer.write(content)
    complete = {
        "folder": folder,
        "manifest_sha256": manifest.sha256,
        "tables_done": len(archived),
        "tables_total": len(archived),
        "rows": manifest.totals.rows,
        "bytes": manifest.totals.bytes,
        "completed_at": SNAPSHOT,
        "expires_at": datetime.now(UTC) + timedelta(days=30),
    }
    workflow_id = await add_export(database, export_id, tenant_id, "completed", **{**complete, **row})
    return Stored(export_id, tenant_id, workflow_id, folder, manifest, parts)


async def add_export(
    database: asyncpg.Connection, export_id: UUID, tenant_id: UUID, status: str | None, **row: Any
) -> str:
    """Insert an export with its operation, unless that has no status, and return the workflow id."""
    workflow_id, run_id = f"tenant-export-{uuid4()}", str(uuid4())
    if status is not None:
        finished_at = SNAPSHOT if status in {"completed", "failed", "cancelled"} else None
        operation: dict[str, Any] = {"kind": "tenant_export", "status": status, "finished_at": finished_at}
        await record(database, workflow_id=workflow_id, run_id=run_id, tenant_id=tenant_id, **operation)
    export = {"include_secrets": False, "requested_at": SNAPSHOT, "requested_by": "tests", **row}
    await insert(
        database,
        "alga_tenants.exports",
        export_id=export_id,
        tenant_id=tenant_id,
        tenant_name="Acme",
        workflow_id=workflow_id,
        run_id=run_id,
        **export,
    )
    return workflow_id


async def recorded(http: httpx.AsyncClient, stored: Stored, action: str, count: int) -> list[dict[str, Any]]:
    """Return the details of the audit events about an archive, oldest first, once there are that many."""
    query = {"tenantId": str(stored.tenant_id), "action": action}
    found: list[dict[str, Any]] = []

    async def are_written() -> bool:
        found[:] = (await http.get("/audit-events", params=query)).json()["events"]
        return len(found) >= count

    await wait_until(are_written, timeout=PATIENCE)
    assert {event["subject"] for event in found} == {str(stored.export_id)}
    return [event["details"] for event in sorted(found, key=lambda event: str(event["occurredAt"]))]
