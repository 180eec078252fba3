"""What a tenant has in Temporal beside our operations: schedules and open workflows, which mostly are Alga's."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, ScheduleActionStartWorkflow
from temporalio.service import RPCError, RPCStatusCode

from activities.alga.directory.external_resources import ExternalResource
from app.temporal.errors import TemporalUnavailableError, reason_of
from app.temporal.foreign_payloads import ENCODING, JSON

# Before the tenant's id, in the ids of workflows.
WORKFLOW_PREFIXES = (
    "tenant-creation-",
    "tenant-deletion-",
    "tenant-export-",
    "tenant-product-upgrade-",
    "trial-payment-reminder-",
    "resend-welcome-email-",
    "portal-domain:",
    "managed-email-domain:",
    "provision-ext-domain:",
    "ninjaone:token-lifecycle:",
    "sla-ticket-",
)
# Schedules of the whole installation.
GLOBAL_PREFIXES = ("alga-tenants-maintenance-", "maintenance-fanout:")
READ_AT_ONCE = 10
SCHEDULES, WORKFLOWS = "temporal_schedules", "temporal_workflows"


class TenantResources:
    """Finds schedules and workflows of tenants."""

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def list(self, tenant_id: UUID, *, max_read: int | None = None) -> list[ExternalResource]:
        """Return the tenant's schedules and open workflows; raise `TemporalUnavailableError`.

        At most `max_read` schedules are read whose id does not show whose they are.
        """
        try:
            schedules = await self._schedules(tenant_id, max_read)
            workflows = await self._open_workflows(tenant_id)
        except (RPCError, RuntimeError) as error:
            raise TemporalUnavailableError(reason_of(error)) from None
        return [resource for resource in (schedules, workflows) if resource is not None]

    async def _schedules(self, tenant_id: UUID, max_read: int | None) -> ExternalResource | None:
        """Return the schedules whose id or first argument names the tenant."""
        own, others = [], []
        async for schedule in await self._client.list_schedules(rpc_timeout=self._timeout):
            if str(tenant_id) in schedule.id.lower():
                own.append(schedule.id)
            elif not schedule.id.startswith(GLOBAL_PREFIXES):
                others.append(schedule.id)
        read = others[:max_read]
        for start in range(0, len(read), READ_AT_ONCE):
            batch = read[start : start + READ_AT_ONCE]
            named = await asyncio.gather(*map(self._tenant_of, batch))
            own += [id_ for id_, name in zip(batch, named, strict=True) if name == str(tenant_id)]
        unread = len(others) - len(read)
        note = "Deleted after the tenant's rows."
        if unread:
            note += f" {unread} more schedules, whose ids name no tenant, were not read."
        return ExternalResource(SCHEDULES, len(own), tuple(sorted(own)), note) if own or unread else None

    async def _open_workflows(self, tenant_id: UUID) -> ExternalResource | None:
        """Return the open workflows whose ids begin as Alga's and ours do for the tenant."""
        begins = " OR ".join(f"WorkflowId STARTS_WITH '{prefix}{tenant_id}'" for prefix in WORKFLOW_PREFIXES)
        query = f"ExecutionStatus = 'Running' AND ({begins})"
        found = [workflow.id async for workflow in self._client.list_workflows(query, rpc_timeout=self._timeout)]
        note = "Open workflows whose ids name the tenant. Those of background jobs name none."
        return ExternalResource(WORKFLOWS, len(found), tuple(sorted(found)), note) if found else None

    async def _tenant_of(self, schedule_id: str) -> str | None:
        """Return the `tenantId` in the first argument of a schedule's workflow if that is in clear."""
        try:
            description = await self._client.get_schedule_handle(schedule_id).describe(rpc_timeout=self._timeout)
        except RPCError as error:
            # It was deleted after it was listed.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        action = description.schedule.action
        return _named_tenant(action.args) if isinstance(action, ScheduleActionStartWorkflow) else None


def _named_tenant(arguments: Collection[object]) -> str | None:
    payload = next(iter(arguments), None)
    if not isinstance(payload, Payload) or payload.metadata.get(ENCODING) != JSON:
        return None
    try:
        document = from_json(payload.data)
    except ValueError:
        return None
    name = document.get("tenantId") if isinstance(document, dict) else None
    return name.lower() if isinstance(name, str) else None
