"""The activities that serve Alga's client, which deletes tenants over Temporal."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.alga.tables import tenants
from activities.audit.trail import AuditTrail
from activities.deletions.activities import confirm_deletion, state_of
from activities.deletions.queries import find_open_operation
from activities.deletions.rows import Confirmation
from activities.errors import local_only, temporal_errors
from workflows.operations.messages import UNKNOWN_CALLER
from workflows.tenants.deletions.messages import GRACE_DAYS, ConfirmationInput, ConfirmationResult
from workflows.tenants.deletions.wire import WireCheck, WireDeletionRequest
from workflows.tenants.steps import CHECK_WIRE_DELETION_ACTIVITY, CONFIRM_DELETION_ACTIVITY

WIRE_OFF = "deletions over Temporal are off: WIRE_DELETION is not set to true on the worker"
TWO_PERSON = (
    "with DELETION_TWO_PERSON a deletion can't be confirmed over Temporal, which does not show who confirms; "
    "confirm it over HTTP"
)


class WireDeletionActivities:
    """Check and confirm deletions for clients of Temporal.

    `is_on` says whether they may delete tenants, `two_person` whether another person must confirm, and `can_export`
    whether a store is configured.
    """

    def __init__(
        self, engine: AsyncEngine, audit: AuditTrail, *, is_on: bool, two_person: bool, can_export: bool
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._is_on = is_on
        self._two_person = two_person
        self._can_export = can_export

    @activity.defn(name=CHECK_WIRE_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def check_wire_deletion(self, request: WireDeletionRequest) -> WireCheck:
        """Return why deletions over Temporal are off, or what is known of the tenant; raises `ApplicationError`."""
        if not self._is_on:
            return WireCheck(refused=WIRE_OFF)
        query = select(tenants.c.client_name).where(tenants.c.tenant == request.tenant_id)
        async with self._engine.connect() as connection:
            return WireCheck(
                can_export=self._can_export,
                tenant_name=await connection.scalar(query),
                open_deletion=await find_open_operation(connection, request.tenant_id),
            )

    @activity.defn(name=CONFIRM_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def confirm_deletion(self, given: ConfirmationInput) -> ConfirmationResult:
        """Confirm for a client of Temporal, or for the end of 90 days; raises `ApplicationError`.

        A refused confirmation changes nothing, and the result says why.
        """
        if not self._is_on or self._two_person:
            return ConfirmationResult(refused=TWO_PERSON if self._is_on else WIRE_OFF)
        confirmation = Confirmation(
            by=UNKNOWN_CALLER,
            via=UNKNOWN_CALLER,
            grace_period_days=GRACE_DAYS[given.type],
            type=given.type,
            claimed_by=given.claimed_by,
        )
        async with self._engine.begin() as connection:
            record = await confirm_deletion(connection, self._audit, given.operation, confirmation)
        return ConfirmationResult(**dict(state_of(record, claimed_by=given.claimed_by)))
