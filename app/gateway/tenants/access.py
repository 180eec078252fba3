"""Gives administrators access to their tenants: sends welcome mails again."""

import math
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.directory.administrators import administrators
from activities.mail.claims import LIMIT_WINDOW, MAX_IN_WINDOW, next_allowed
from activities.suspensions.rows import find_standing
from app.auth.callers import Caller, Requester
from app.database import database_errors
from app.gateway.directory.changes import rival_of
from app.gateway.directory.lookup import TenantLookup
from app.gateway.http.problems.request_problems import RateLimitedError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import NoAdministratorError, TenantSuspendedError
from app.gateway.operations.starting import OperationStarts
from app.gateway.tenants.schemas import RecipientDocument, WelcomeEmailBody, WelcomeEmailPreview
from workflows.tenants.steps import RESEND_WORKFLOW, WELCOME_EMAIL
from workflows.tenants.welcome_email import WelcomeEmailRequest


@dataclass(frozen=True, repr=False)
class WelcomeEmails:
    """Starts operations that send a welcome mail again, and previews them."""

    engine: AsyncEngine
    starts: OperationStarts
    lookup: OperationLookup
    tenants: TenantLookup

    async def send(self, path_id: str, body: WelcomeEmailBody, requester: Requester) -> OperationView:
        """Start the operation, or return the one that is sending the mail to the same user just now.

        Raises:
            ProblemError: there is no such tenant for the caller, another operation on it has not ended, or it had too
                many of these mails.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        tenant = await self.tenants.find_live(requester.caller, path_id)

        async def check(connection: AsyncConnection) -> None:
            await _refuse_too_many(connection, tenant.tenant_id)

        request = WelcomeEmailRequest(
            tenant_id=tenant.tenant_id, user_id=body.user_id, tenant_name=tenant.name, origin=requester.origin()
        )
        user_id = request.parameters_shown["parameters"].get("userId")
        return await self.starts.start(
            WELCOME_EMAIL,
            RESEND_WORKFLOW,
            request,
            is_same=lambda snapshot: snapshot.parameters.get("userId") == user_id,
            check=check,
        )

    async def preview(self, caller: Caller, path_id: str) -> WelcomeEmailPreview:
        """Return who would get the mail, and when the next one may be sent.

        Raises `TenantNotFoundError`, `OperationInProgressError` or `DatabaseUnavailableError`.
        """
        tenant = await self.tenants.find_live(caller, path_id)
        refusals = []
        with database_errors():
            async with self.engine.connect() as connection:
                if (await find_standing(connection, tenant.tenant_id)).is_suspended:
                    refusals.append(TenantSuspendedError.default_detail)
                recipients = (await connection.execute(administrators(tenant.tenant_id))).all()
                if not recipients:
                    refusals.append(NoAdministratorError.default_detail)
                if (rival := await rival_of(connection, tenant.tenant_id, WELCOME_EMAIL)) is not None:
                    refusals.append(rival)
                wait = await next_allowed(connection, tenant.tenant_id, WELCOME_EMAIL.name)
        return WelcomeEmailPreview(
            tenant_id=tenant.tenant_id,
            name=tenant.name,
            recipients=tuple(map(RecipientDocument.model_validate, recipients)),
            max_mails=MAX_IN_WINDOW,
            window=LIMIT_WINDOW,
            wait=wait,
            refusals=tuple(refusals),
        )

    async def wait(self, operation: OperationView, seconds: int) -> OperationView:
        """Return the operation once it has ended, or as it is after the given time."""
        return await self.lookup.wait_if_possible(operation, seconds)


async def _refuse_too_many(connection: AsyncConnection, tenant_id: UUID) -> None:
    wait = await next_allowed(connection, tenant_id, WELCOME_EMAIL.name)
    if wait is not None:
        raise RateLimitedError(
            "This tenant had too many welcome mails", math.ceil(wait.total_seconds()), is_denial=False
        )
