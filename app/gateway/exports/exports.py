"""Requests, shows and removes exports of tenants."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import Place
from activities.audit.events import Action
from activities.audit.trail import AuditTrail
from activities.export.rows import ExportFilter, ExportState, expire_export, export_id, list_exports, mark_removed
from activities.operations.queries import read_statuses
from app.auth.callers import Caller, Requester
from app.database import database_errors
from app.gateway.directory.lookup import TenantLookup, visible_tenant_id
from app.gateway.directory.pages import place_of, token_of
from app.gateway.exports.archives import Archives
from app.gateway.exports.problems import ExportIncompleteError
from app.gateway.exports.schemas import (
    ExportBody,
    ExportDetails,
    ExportDocument,
    ExportList,
    ManifestDocument,
)
from app.gateway.http.problems.request_problems import ExportStorageOutageError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import ExportDamagedError
from app.gateway.operations.starting import OperationStarts
from workflows.operations.messages import OperationContext, OperationSnapshot
from workflows.tenants.export import ExportRequest
from workflows.tenants.steps import EXPORT_WORKFLOW, TENANT_EXPORT


@dataclass(frozen=True, repr=False)
class Exports:
    """Exports of tenants; every method may raise `DatabaseUnavailableError`."""

    engine: AsyncEngine
    tenants: TenantLookup
    starts: OperationStarts
    archives: Archives
    audit: AuditTrail

    async def request(self, path_id: str, body: ExportBody, requester: Requester) -> OperationView:
        """Start an export, or return the tenant's open one if it was requested with the same parameters.

        Raises:
            ProblemError: there is no such tenant for the caller, no store, or another export of it has not ended.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        tenant = await self.tenants.find_live(requester.caller, path_id)
        self.archives.check_configured()
        wanted = ExportRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            include_secrets=body.include_secrets,
            reason=body.reason,
            origin=requester.origin(),
        )
        parameters = wanted.parameters_shown["parameters"]

        def is_same(snapshot: OperationSnapshot) -> bool:
            return bool(snapshot.parameters == parameters)

        return await self.starts.start(TENANT_EXPORT, EXPORT_WORKFLOW, wanted, is_same=is_same)

    async def page(self, caller: Caller, path_id: str, *, size: int, token: str | None) -> ExportList:
        """Return a page of the exports of a tenant, which may have been deleted; raise `TenantNotFoundError`."""
        tenant_id = visible_tenant_id(caller, path_id)
        found = await self._list(ExportFilter(tenant_id=tenant_id), size=size, token=token)
        if not found.exports and token is None:
            await self.tenants.find_id(caller, path_id)
        return found

    async def page_of_all(self, caller: Caller, wanted: ExportFilter, *, size: int, token: str | None) -> ExportList:
        """Return a page of the exports of all tenants, or of the one that the caller is bound to."""
        if caller.tenant_id is not None:
            if wanted.tenant_id not in {None, caller.tenant_id}:
                return ExportList(exports=(), next_page_token=None)
            wanted = replace(wanted, tenant_id=caller.tenant_id)
        return await self._list(wanted, size=size, token=token)

    async def show(self, caller: Caller, export_id: UUID) -> ExportDetails:
        """Return an export; raise `ExportNotFoundError`. If the archive can't be read now, the document says so."""
        export = await self.archives.find(caller, export_id)
        manifest, problem = None, None
        if export.state is ExportState.COMPLETED:
            try:
                archive = await self.archives.open(export.record)
                manifest = ManifestDocument.model_validate(archive.manifest)
            except (ExportDamagedError, ExportStorageOutageError) as error:
                problem = error.code
        return ExportDetails.of(export.record, export.status, manifest=manifest, manifest_problem=problem)

    async def remove(self, export_id: UUID, requester: Requester) -> ExportDetails:
        """Remove the archive of a complete export; a second request changes nothing.

        Raises:
            ProblemError: there is no such export, it is not complete, or there is no store.
            ExportStorageOutageError: it is no longer served, but its files remain until the request is repeated.
        """
        export = await self.archives.find(requester.caller, export_id)
        self.archives.check_configured()
        record = export.record
        if record.completed_at is None:
            raise ExportIncompleteError(export.state)
        if record.removed_at is None:
            event = requester.audit_event(
                Action.EXPORT_DELETE,
                workflow_id=record.workflow_id,
                tenant_id=record.tenant_id,
                subject=str(export_id),
            )
            with database_errors():
                async with self.engine.begin() as connection:
                    await expire_export(connection, export_id)
                    await self.audit.append(connection, event)
            await self.archives.delete(record)
            with database_errors():
                async with self.engine.begin() as connection:
                    await mark_removed(connection, export_id)
        return await self.show(requester.caller, export_id)

    async def _list(self, wanted: ExportFilter, *, size: int, token: str | None) -> ExportList:
        place = place_of(token) if token is not None else None
        after = (place.at, place.id) if place is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                found = await list_exports(connection, wanted, limit=size + 1, after=after)
                records = found[:size]
                statuses = await read_statuses(connection, [(item.workflow_id, item.run_id) for item in records])
        return ExportList(
            exports=tuple(
                ExportDocument.of(record, statuses.get((record.workflow_id, record.run_id))) for record in records
            ),
            next_page_token=token_of(Place(records[-1].requested_at, records[-1].export_id))
            if len(found) > size
            else None,
        )


def id_of_export(operation: OperationView) -> UUID:
    """Return the id that the export of an operation has once a worker begins it."""
    context = OperationContext(
        workflow_id=operation.workflow_id, run_id=operation.run_id, snapshot=operation.snapshot
    )
    return export_id(context)
