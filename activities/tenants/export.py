"""The activity that exports a tenant into an archive."""

import math
import time
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.alga.tables import tenants
from activities.audit.trail import AuditTrail
from activities.database.transactions import Transactions
from activities.errors import CancelRequestedError, FinalError, activity_errors
from activities.export.archive import Manifest, archive_folder
from activities.export.exporting import Progress, export_tenant, snapshot
from activities.export.rows import complete_export, export_id, insert_export, show_progress
from activities.export.storage import ArchiveStore
from activities.heartbeats import heartbeats
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from activities.purge.catalogue import read_catalogue
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import Committed, OperationContext
from workflows.tenants.export import ExportInput
from workflows.tenants.steps import EXPORT, EXPORT_ACTIVITY

EXPORT_UNAVAILABLE = "export-unavailable"
TENANT_NOT_FOUND = "tenant-not-found"
PROGRESS_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KeptArchives:
    """Where archives are stored and for how long, and the key of their manifests."""

    store: ArchiveStore
    retention: timedelta
    mac_key: bytes = field(repr=False)


class ExportActivities:
    """Export tenants; `kept` is None if no store is configured.

    Statements of `long` may take as long as a large tenant needs.
    """

    def __init__(self, engine: AsyncEngine, long: AsyncEngine, audit: AuditTrail, kept: KeptArchives | None) -> None:
        self._engine = engine
        self._transactions = Transactions(engine)
        self._long = long
        self._audit = audit
        self._kept = kept

    @activity.defn(name=EXPORT_ACTIVITY)
    async def export_tenant(self, given: ExportInput) -> Committed:
        """Write an archive of the tenant as it is at one moment, and record it as complete.

        A second run writes the archive again, unless the first one was recorded. Raises `ApplicationError`; what was
        written is removed then.
        """
        steps = StepClock(given.operation)
        with activity_errors(EXPORT_ACTIVITY, lambda: steps.current):
            async with heartbeats():
                return await self._export(given, steps)

    async def _export(self, given: ExportInput, steps: StepClock) -> Committed:
        if self._kept is None:
            raise FinalError(EXPORT_UNAVAILABLE, "exports are not configured: set EXPORT_URL", field="export")
        context, request, store = given.operation, given.request, self._kept.store
        if (committed := await self._begin(given)) is not None:
            return committed
        # An earlier attempt may still run, and even complete first.
        folder = archive_folder(context.tenant_id, str(export_id(context)), uuid4().hex)
        try:
            with steps.run(EXPORT):
                async with snapshot(self._long) as connection:
                    manifest = await export_tenant(
                        connection,
                        (await read_catalogue(connection)).keeping(pending_tenant_deletions.name),
                        store,
                        folder,
                        tenant_id=context.tenant_id,
                        export_id=str(export_id(context)),
                        include_secrets=request.has_secrets,
                        requested_by=context.snapshot.requested_by,
                        on_progress=_ShownProgress(self._engine, context).show,
                        mac_key=self._kept.mac_key,
                    )
            return await self._complete(context, steps, folder, manifest)
        except BaseException:
            await store.delete_prefix(folder)
            raise

    async def _begin(self, given: ExportInput) -> Committed | None:
        """Record the export; return what an earlier attempt has committed."""
        context = given.operation
        async with self._engine.begin() as connection:
            row = OperationRow(connection, context)
            locked = await row.ensure_locked()
            if locked.committed is not None:
                return locked.committed
            await row.check_open(locked)
            query = select(tenants.c.tenant).where(tenants.c.tenant == context.tenant_id)
            if await connection.scalar(query) is None:
                raise FinalError(TENANT_NOT_FOUND, "there is no such tenant", field="tenantId")
            await insert_export(
                connection, context, include_secrets=given.request.has_secrets, reason=given.request.reason
            )
            await self._audit.append_once(connection, row.request_events)
        return None

    async def _complete(
        self, context: OperationContext, steps: StepClock, folder: str, manifest: Manifest
    ) -> Committed:
        """Record the archive, and commit the operation."""
        if self._kept is None:
            raise TypeError("an archive needs a store")
        totals = manifest.totals
        committed = steps.committed(
            {
                "exportId": manifest.export_id,
                "tenantId": str(manifest.tenant_id),
                "tenantName": manifest.tenant_name,
                "tableCount": totals.tables,
                "recordCount": totals.rows,
                "fileSizeBytes": totals.bytes,
            }
        )
        async with self._transactions.begin() as transaction:
            row = OperationRow(transaction.connection, context)
            locked = await row.ensure_locked()
            if locked.committed is not None:
                raise FinalError(OPERATION_CLOSED, "another attempt has completed the export")
            await row.check_open(locked)
            await complete_export(
                transaction.connection,
                context,
                kept_for=self._kept.retention,
                # Alga's client does not name the tenant.
                tenant_name=manifest.tenant_name,
                folder=folder,
                manifest_sha256=manifest.sha256,
                tables_done=totals.tables,
                tables_total=totals.tables,
                rows=totals.rows,
                bytes=totals.bytes,
            )
            transaction.run_with_commit(row.commit_statement(committed))
        return committed


class _ShownProgress:
    """Shows the progress of an export in its row, and ends the export if it was cancelled."""

    def __init__(self, engine: AsyncEngine, context: OperationContext) -> None:
        self._engine = engine
        self._context = context
        self._shown_at = -math.inf

    async def show(self, progress: Progress) -> None:
        """Show the progress once a second; raises `CancelRequestedError`."""
        now = time.monotonic()
        if now - self._shown_at < PROGRESS_SECONDS:
            return
        self._shown_at = now
        async with self._engine.begin() as connection:
            if (cancel := await OperationRow(connection, self._context).find_cancellation()) is not None:
                raise CancelRequestedError(cancel)
            await show_progress(
                connection,
                self._context,
                current_table=progress.table,
                tables_done=progress.tables_done,
                tables_total=progress.tables,
                rows=progress.rows,
            )
