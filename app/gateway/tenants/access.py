"""Gives administrators access to their tenants: sends welcome mails again."""

import math
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.mail.claims import next_allowed
from activities.operations.queries import find_open_of_tenant
from app.auth.callers import Requester
from app.database import DatabaseUnavailableError, database_errors
from app.gateway.directory.lookup import TenantLookup
from app.gateway.http.problems.request_problems import RateLimitedError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationInProgressError
from app.gateway.operations.recording import OperationRecording
from app.gateway.tenants.schemas import WelcomeEmailBody
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from workflows.tenants.steps import RESEND_WORKFLOW, WELCOME_EMAIL
from workflows.tenants.welcome_email import WelcomeEmailRequest


@dataclass(frozen=True, repr=False)
class WelcomeEmails:
    """Starts operations that send a welcome mail again."""

    engine: AsyncEngine
    operations: TemporalOperations
    lookup: OperationLookup
    tenants: TenantLookup
    recording: OperationRecording

    async def send(self, path_id: str, body: WelcomeEmailBody, requester: Requester) -> OperationView:
        """Start the operation, or return the one that is sending such a mail just now.

        Raises:
            ProblemError: there is no such tenant for the caller, another operation on it has not ended, or it had too
                many of these mails.
            TemporalUnavailableError: Temporal is unavailable.
            DatabaseUnavailableError: nothing was started.
        """
        tenant = await self.tenants.find_live(requester.caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                open_operation = await find_open_of_tenant(connection, tenant.tenant_id)
                wait = await next_allowed(connection, tenant.tenant_id, WELCOME_EMAIL.name)
        if open_operation is not None:
            user_id = open_operation.snapshot.parameters.get("userId")
            is_same = user_id == (str(body.user_id) if body.user_id is not None else None)
            if open_operation.snapshot.kind != WELCOME_EMAIL.name or not is_same:
                raise OperationInProgressError(
                    f"{open_operation.workflow_id} has not ended; a mail can be sent when it has"
                )
            return await self.lookup.find(open_operation.workflow_id)
        if wait is not None:
            detail = "This tenant had too many welcome mails"
            raise RateLimitedError(detail, math.ceil(wait.total_seconds()), is_denial=False)
        origin = requester.origin().model_copy(update={"start_id": str(uuid4())})
        request = WelcomeEmailRequest(
            tenant_id=tenant.tenant_id, user_id=body.user_id, tenant_name=tenant.name, origin=origin
        )
        workflow_id = WELCOME_EMAIL.workflow_id(uuid4())
        started = await self.operations.start(WELCOME_EMAIL, RESEND_WORKFLOW, workflow_id, request)
        operation = OperationView.of_temporal(started)
        await self.recording.record(operation, origin)
        return operation

    async def wait(self, operation: OperationView, seconds: int) -> OperationView:
        """Return the operation once it has ended, or as it is after the given time."""
        try:
            return await self.lookup.wait(operation.workflow_id, seconds)
        except (TemporalUnavailableError, DatabaseUnavailableError):
            # It was started, and the caller can find it.
            return operation
