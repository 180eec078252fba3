"""The activity that restores a tenant from an export."""

from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audit.trail import AuditTrail
from activities.customers.cancelling import reinstate_customer
from activities.deletions.alga_record import update_record
from activities.deletions.rows import newest_deletion
from activities.errors import CancelRequestedError, FinalError, activity_errors
from activities.export.archive import Manifest
from activities.export.restore.errors import Refusal, RestoreRefusedError
from activities.export.restore.parts import ARCHIVE_DAMAGED
from activities.export.restore.restoring import RestoreReport, preview_restore, restore_tenant
from activities.export.rows import ExportRecord, find_export
from activities.export.verification import read_manifest, verify_archive
from activities.heartbeats import heartbeats
from activities.operations.cancelled_commits import cancellable_commit
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from activities.tenants.export import EXPORT_UNAVAILABLE, KeptArchives
from workflows.operations.messages import Committed, OperationWarning
from workflows.tenants.restore import RestoreInput
from workflows.tenants.steps import RESTORE, RESTORE_ACTIVITY, VERIFY

EXPORT_NOT_FOUND = "export-not-found"
SECRETS_MASKED = "secrets-masked"

log = structlog.get_logger(__name__)


class RestoreActivities:
    """Restore tenants from the archives of exports; `kept` is None if no store is configured.

    Statements of `long` may take as long as a large tenant needs. `engine` is for short ones meanwhile.
    """

    def __init__(self, engine: AsyncEngine, long: AsyncEngine, audit: AuditTrail, kept: KeptArchives | None) -> None:
        self._engine = engine
        self._long = long
        self._audit = audit
        self._kept = kept

    @activity.defn(name=RESTORE_ACTIVITY)
    async def restore_tenant(self, given: RestoreInput) -> Committed:
        """Verify the archive, and write its rows and the commit in one transaction; a dry run writes no rows.

        A second run finds the commit, and returns the same. It trusts its input for the ids only: the row of the
        operation and that of the export decide. Raises `ApplicationError`; no row was written then.
        """
        steps = StepClock(given.operation)
        with activity_errors(RESTORE_ACTIVITY, lambda: steps.current):
            async with heartbeats():
                return await self._restore(given, steps)

    async def _restore(self, given: RestoreInput, steps: StepClock) -> Committed:
        kept, context, request = self._kept, given.operation, given.request
        if kept is None:
            raise FinalError(EXPORT_UNAVAILABLE, "exports are not configured: set EXPORT_URL", field="exportId")
        with steps.run(VERIFY):
            export = await self._find(given)
            folder = export.folder or ""
            manifest = await self._verified(kept, export, folder)
        async with cancellable_commit(self._engine, context), self._long.begin() as connection:
            row = OperationRow(connection, context)
            locked = await row.ensure_locked()
            if locked.committed is not None:
                return locked.committed
            await row.check_open(locked)
            named: dict[str, Any] = {"tenantId": str(manifest.tenant_id), "exportId": str(export.export_id)}
            with steps.run(RESTORE):
                if request.dry_run:
                    async with connection.begin_nested() as trial:
                        preview = await preview_restore(connection, kept.store, folder, manifest)
                        await trial.rollback()
                    result = named | {
                        "dryRun": True,
                        "rows": sum(preview.rows.values()),
                        "tables": preview.rows,
                        "drawnAnew": list(map(asdict, preview.drawn)),
                        "refusals": list(map(asdict, preview.refusals)),
                    }
                else:
                    report = await self._write(connection, given, folder, manifest, kept)
                    result = named | {
                        "rowsRestored": sum(report.rows.values()),
                        "drawnAnew": list(map(asdict, report.drawn)),
                        "disabledTriggers": list(map(str, report.disabled_triggers)),
                    }
                    if manifest.masked:
                        steps.warnings.append(_masked())
            committed = steps.committed(result)
            statement = row.commit_statement(committed)
            await self._audit.append_once(connection, row.request_events)
            await connection.execute(statement.clause, statement.values)
        return committed

    async def _find(self, given: RestoreInput) -> ExportRecord:
        async with self._engine.connect() as connection:
            export = await find_export(connection, given.request.export_id)
        if export is None or not export.is_kept or export.tenant_id != given.operation.tenant_id:
            detail = "there is no complete export of this tenant with that id, or its archive was removed"
            raise FinalError(EXPORT_NOT_FOUND, detail, field="exportId")
        return export

    async def _verified(self, kept: KeptArchives, export: ExportRecord, folder: str) -> Manifest:
        faults = await verify_archive(
            kept.store, folder, manifest_sha256=export.manifest_sha256, mac_key=kept.mac_key
        )
        if faults:
            # The first of a file's faults, because others follow from it.
            first = {fault.part: fault for fault in reversed(faults)}
            raise RestoreRefusedError([Refusal(ARCHIVE_DAMAGED, str(first[part])) for part in sorted(first)])
        manifest, _ = await read_manifest(kept.store, folder)
        if manifest is None or manifest.tenant_id != export.tenant_id:
            raise RestoreRefusedError([Refusal(ARCHIVE_DAMAGED, "the archive is that of another tenant")])
        return manifest

    async def _write(
        self,
        connection: AsyncConnection,
        given: RestoreInput,
        folder: str,
        manifest: Manifest,
        kept: KeptArchives,
    ) -> RestoreReport:
        row = OperationRow(connection, given.operation)

        async def check_cancel(table: str, rows: int) -> None:
            log.info("restoring", tenant_id=str(manifest.tenant_id), table=table, rows=rows)
            if (cancel := await row.find_cancellation()) is not None:
                raise CancelRequestedError(cancel)

        report = await restore_tenant(connection, kept.store, folder, manifest, on_table=check_cancel)
        await reinstate_customer(connection, manifest.tenant_id)
        deletion = await newest_deletion(connection, manifest.tenant_id)
        if deletion is not None:
            # The archive has Alga's record of the deletion as it was when the export was made.
            await update_record(
                connection,
                manifest.tenant_id,
                deletion.deletion_id,
                "rolled_back",
                rollback_reason=f"restored from export {manifest.export_id}",
            )
        return report


def _masked() -> OperationWarning:
    detail = "the export has no secrets: people set new passwords, and connections to other systems are made anew"
    return OperationWarning(code=SECRETS_MASKED, detail=detail)
