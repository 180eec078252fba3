"""The two routes that clients poll: the status of an operation, by its own path and by that of the tenant."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller
from app.gateway.access.route import AuthenticatedRoute, Handler
from app.gateway.http.dependencies import find_service, service
from app.gateway.http.openapi import COMMON_PROBLEMS, RETRY_AFTER, Responses, problems
from app.gateway.http.parameters import IfNoneMatch, if_none_match_lines
from app.gateway.http.problems.request_problems import DatabaseOutageError, TemporalOutageError
from app.gateway.http.request_context import caller_of
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import WorkflowId, check_workflow_id, tenant_id_of
from app.gateway.operations.problems import OperationNotFoundError, OperationUnreadableError
from app.gateway.operations.responses import conditional
from app.gateway.operations.schemas import StatusDocument

ETAG = {"ETag": {"description": "For `If-None-Match`.", "schema": {"type": "string"}}}
STATUS: Responses = {
    200: {"description": "The status document.", "headers": {**ETAG, **RETRY_AFTER}},
    304: {"description": "Nothing has changed.", "headers": {**ETAG, **RETRY_AFTER}},
    **problems(OperationNotFoundError, OperationUnreadableError),
}


class StatusRoute(AuthenticatedRoute):
    """A route that calls its endpoint without FastAPI's slow dependency injection (ADR 6).

    FastAPI still describes the endpoint's parameters, which are the same for all endpoints, in OpenAPI.
    """

    def handler(self) -> Handler:
        """Return a handler that calls the endpoint with the values that its dependencies would return."""

        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(
                caller=caller_of(request),
                lookup=find_service(request, OperationLookup),
                workflow_id=check_workflow_id(request.path_params["id"]),
                if_none_match=if_none_match_lines(request),
            )
            return response

        return handle


router = APIRouter(
    route_class=StatusRoute,
    responses=problems(*COMMON_PROBLEMS, TemporalOutageError, DatabaseOutageError) | STATUS,
)


@router.get(
    "/tenants/{id}/status", tags=["tenants"], summary="Read the status of a creation", response_model=StatusDocument
)
async def read_status(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    lookup: Annotated[OperationLookup, service(OperationLookup)],
    workflow_id: WorkflowId,
    if_none_match: IfNoneMatch,
) -> Response:
    """Return the status of an operation, by its workflow id, or by the id of the tenant that it creates."""
    if (tenant_id := tenant_id_of(workflow_id)) is None:
        return await read_operation(caller, lookup, workflow_id, if_none_match)
    operation = await lookup.find_creation_for(caller, tenant_id)
    return conditional(operation.encoded, if_none_match)


@router.get("/operations/{id}", tags=["operations"], summary="Read an operation", response_model=StatusDocument)
async def read_operation(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    lookup: Annotated[OperationLookup, service(OperationLookup)],
    workflow_id: WorkflowId,
    if_none_match: IfNoneMatch,
) -> Response:
    """Return the status of an operation."""
    operation = await lookup.find_for(caller, workflow_id)
    return conditional(operation.encoded, if_none_match)
