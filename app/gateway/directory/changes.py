"""Changes of tenants that take a moment: the response is the tenant as requested, or else the operation."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias
from uuid import UUID

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from activities.errors import FinalError
from activities.operations.queries import find_open_of_tenant
from app.auth.callers import Requester
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.schemas import TenantDetails
from app.gateway.http.openapi import LOCATION, RETRY_AFTER, Responses
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.responses import document_response
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import PreferWait
from app.gateway.operations.problems import OperationStoppingError, problem_kind_of
from app.gateway.operations.responses import preference_applied, started
from app.gateway.operations.schemas import StatusDocument
from app.gateway.operations.starting import OperationStarts
from workflows.operations.kinds import OperationKind
from workflows.operations.messages import OperationRequest, OperationSnapshot
from workflows.operations.statuses import OperationStatus

# How long a request waits until the tenant is as requested, unless it prefers less.
CHANGE_WAIT_SECONDS = 10

Check: TypeAlias = Callable[[AsyncConnection], Awaitable[None]]

IsSame: TypeAlias = Callable[[OperationSnapshot], bool]

CHANGING: Responses = {
    200: {
        "description": "The tenant is as requested. With `Location` if an operation has changed it.",
        "headers": LOCATION,
    },
    202: {
        "model": StatusDocument,
        "description": "The operation has not completed in 10 seconds, or in those of `Prefer: wait`.",
        "headers": {**LOCATION, **RETRY_AFTER},
    },
}


async def shorter_wait(wait: PreferWait) -> int | None:
    """Return the seconds that the caller prefers to wait; None if a change waits no longer anyway."""
    return wait if wait is not None and wait < CHANGE_WAIT_SECONDS else None


ShorterWait = Annotated[int | None, Depends(shorter_wait)]


class NotNeededError(Exception):
    """The tenant is as requested."""


@dataclass(frozen=True, repr=False)
class TenantChange:
    """The tenant once it is as requested, or else the operation; `operation` is None if the tenant was so before."""

    document: TenantDetails | StatusDocument
    operation: OperationView | None

    def response(self, waited: int | None) -> Response:
        """Return the response with status 200 and the tenant if it is as requested, else 202 and the operation."""
        if isinstance(self.document, StatusDocument):
            return started(self.document, waited, completed=202)
        headers = {"Location": self.operation.document.links.self} if self.operation is not None else {}
        return document_response(self.document, 200, {**headers, **preference_applied(waited)})


@dataclass(frozen=True, repr=False)
class TenantChanges:
    """Starts operations that change tenants, and waits for them."""

    starts: OperationStarts
    lookup: OperationLookup
    tenants: TenantLookup

    async def make(  # noqa: PLR0917 - all of an operation
        self,
        kind: OperationKind,
        workflow_type: str,
        request: OperationRequest,
        requester: Requester,
        check: Check,
        wait: int | None,
        *,
        is_same: IsSame = lambda _: True,
    ) -> TenantChange:
        """Change the tenant, unless `check` raises `NotNeededError`, and wait for that number of seconds.

        Simultaneous requests are one operation, with the parameters of the first, if `is_same` holds for it.

        Raises:
            ProblemError: another operation on the tenant has not ended, or this one has failed or was cancelled.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        path_id = str(request.tenant_id)
        try:
            operation = await self.starts.start(kind, workflow_type, request, is_same=is_same, check=check)
        except NotNeededError:
            return TenantChange(await self.tenants.find(requester.caller, path_id), None)
        operation = await self._ended(operation, CHANGE_WAIT_SECONDS if wait is None else wait)
        if operation.snapshot.status is not OperationStatus.COMPLETED:
            return TenantChange(operation.document, operation)
        return TenantChange(await self.tenants.find(requester.caller, path_id), operation)

    async def _ended(self, operation: OperationView, seconds: int) -> OperationView:
        """Return the operation once it has completed, or as it is after the time; raise why it has not succeeded."""
        if seconds:
            operation = await self.lookup.wait_if_possible(operation, seconds)
        snapshot = operation.snapshot
        if snapshot.status is OperationStatus.CANCELLED:
            raise OperationStoppingError(f"{operation.workflow_id} was cancelled before it changed the tenant")
        if snapshot.status is OperationStatus.FAILED and (error := snapshot.error) is not None:
            raise _problem(error.code, error.detail, error.field)
        return operation


async def rival_of(connection: AsyncConnection, tenant_id: UUID, kind: OperationKind) -> str | None:
    """Return a sentence about the open operation that blocks one of that kind on the tenant, or None."""
    known = await find_open_of_tenant(connection, tenant_id, kind.name)
    return None if known is None else f"{known.workflow_id} ({known.snapshot.kind}) on this tenant has not ended"


def refusal_problem(refusal: FinalError) -> ProblemError:
    """Return the problem of a change that is refused."""
    return _problem(refusal.code, refusal.detail, refusal.field)


def _problem(code: str, detail: str, field: str | None) -> ProblemError:
    errors = [Fault(field=field, detail=detail)] if field is not None else None
    return problem_kind_of(code)(detail, errors=errors)
