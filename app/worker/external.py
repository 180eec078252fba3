"""The activities on what a tenant has outside the database: they list it, and delete its schedules in Temporal."""

from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alga.directory.external_resources import list_external
from activities.database.own_tables import deletions
from activities.deletions.alga_record import update_record
from activities.deletions.rows import find_deletion, is_run
from activities.errors import FinalError, temporal_errors
from activities.heartbeats import heartbeats
from app.temporal.tenant_resources import SCHEDULES, TenantResources
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import FollowUpInput, StepDone
from workflows.tenants.deletions.messages import DeletionInput
from workflows.tenants.deletions.state import DELETING, DeletionState
from workflows.tenants.steps import LIST_EXTERNAL_ACTIVITY, REMOVE_SCHEDULES

RPC_TIMEOUT = timedelta(seconds=30)


class ExternalActivities:
    """List what a tenant has outside the database before its purge, and delete its schedules after it.

    Both trust the row of the deletion only, because any workflow can schedule them.
    """

    def __init__(self, engine: AsyncEngine, client: Client) -> None:
        self._engine = engine
        self._client = client

    @activity.defn(name=LIST_EXTERNAL_ACTIVITY)
    @temporal_errors
    async def list_external_resources(self, given: DeletionInput) -> DeletionState:
        """Note in the deletion's row what the tenant has outside the database; raises `ApplicationError`.

        From then on Alga's record says that the tenant is being deleted.
        """
        async with heartbeats():
            async with self._engine.connect() as connection:
                deletion = await find_deletion(connection, given.operation)
            if deletion is None or not deletion.is_open:
                raise FinalError(OPERATION_CLOSED, "there is no such deletion, so nothing was listed")
            found = await TenantResources(self._client, RPC_TIMEOUT).list(deletion.tenant_id)
            async with self._engine.begin() as connection:
                found += await list_external(connection, deletion.tenant_id)
                external = [asdict(resource) for resource in found]
                await connection.execute(update(deletions).where(is_run(given.operation)).values(external=external))
                if deletion.scheduled_for is not None:
                    await update_record(connection, deletion.tenant_id, deletion.deletion_id, DELETING)
        return DeletionState()

    @activity.defn(name=REMOVE_SCHEDULES)
    @temporal_errors
    async def remove_schedules(self, given: FollowUpInput) -> StepDone:
        """Delete the schedules that were listed before the purge; raises `ApplicationError`."""
        async with heartbeats():
            async with self._engine.connect() as connection:
                deletion = await find_deletion(connection, given.operation)
            if deletion is None or deletion.deleted_at is None:
                raise FinalError(OPERATION_CLOSED, "the tenant was not deleted, so its schedules stay")
            for resource in deletion.external or ():
                for name in resource["names"] if resource["kind"] == SCHEDULES else ():
                    await self._delete(name)
        return StepDone()

    async def _delete(self, schedule_id: str) -> None:
        try:
            await self._client.get_schedule_handle(schedule_id).delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
