"""The activity that tracks the customer of a creation in Alga's management tenant."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.customers.lookup import lock_customer, refuse_used_id
from activities.customers.subject import Customer
from activities.customers.tracking import CustomerTracker
from activities.errors import FinalError, temporal_errors
from activities.operations.follow_ups import pending_step
from workflows.operations.messages import FollowUpInput, OperationContext, StepDone
from workflows.tenants.request import OperationResult
from workflows.tenants.steps import TENANT_CREATION, TRACK_CUSTOMER

NOT_CONFIGURED = "management-tenant-unknown"


class CustomerActivities:
    """Track customers; without a management tenant none is tracked."""

    def __init__(self, engine: AsyncEngine, management_tenant: UUID | None) -> None:
        self._engine = engine
        self._tracker = CustomerTracker(management_tenant) if management_tenant is not None else None

    @activity.defn(name=TRACK_CUSTOMER)
    @temporal_errors
    async def track_customer(self, given: FollowUpInput) -> StepDone:
        """Track the customer that a committed creation has made; a second run changes nothing.

        Any client of Temporal can call this with any input. So the input only names the operation, and the database
        says everything else. Raises `ApplicationError`.
        """
        if self._tracker is None:
            detail = "no customer was tracked, because MASTER_BILLING_TENANT_ID of the worker is not set"
            raise FinalError(NOT_CONFIGURED, detail)
        async with self._engine.begin() as connection:
            tracked = await self._tracker.track(connection, await _locked(connection, given.operation))
        shown = tracked.customer.model_dump(mode="json", exclude_none=True)
        named = {"customerClientId": shown.get("clientId"), "customerContactId": shown.get("contactId")}
        result = {name: value for name, value in named.items() if value is not None}
        return StepDone(result={**result, "customerTracking": shown}, warnings=tuple(tracked.warnings))


async def _locked(connection: AsyncConnection, context: OperationContext) -> Customer:
    """Return the locked customer that the row of an open, committed creation asks for."""
    snapshot = await pending_step(connection, context, TENANT_CREATION, TRACK_CUSTOMER)
    created = OperationResult.model_validate(snapshot.result)
    await lock_customer(connection, created.tenant_id)
    # An operation that has ended meanwhile may have been followed by a deletion.
    await pending_step(connection, context, TENANT_CREATION, TRACK_CUSTOMER)
    await refuse_used_id(connection, created.tenant_id)
    return await Customer.read(
        connection,
        created.tenant_id,
        name=snapshot.tenant_name,
        user_id=created.admin_user_id,
        wants_portal_user=snapshot.parameters.get("portalUser") is True,
    )
