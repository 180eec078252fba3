"""Responses to requests that start operations."""

from starlette.responses import Response

from app.gateway.http.responses import document_response
from app.gateway.operations.documents import OperationView
from app.gateway.operations.responses import retry_after
from app.gateway.operations.schemas import StatusDocument
from app.gateway.tenants.creation import StartedCreation
from app.gateway.tenants.schemas import CreatedDocument
from app.gateway.tenants.suspension import SuspensionChange
from workflows.operations.statuses import OperationStatus


def created(creation: StartedCreation, waited: int | None) -> Response:
    """Return the response with status 201 if the caller waited for a completed tenant, else with 202."""
    status_document = creation.operation.document
    document = CreatedDocument(**dict(status_document), temporary_password=creation.temporary_password)
    return _started(document, waited, completed=201)


def sent(operation: OperationView, waited: int | None) -> Response:
    """Return the response with status 200 if the caller waited until the mail was sent, else with 202."""
    return _started(operation.document, waited, completed=200)


def changed(change: SuspensionChange, waited: int | None) -> Response:
    """Return the response with status 200 and the tenant if it is as requested, else with 202 and the operation."""
    if isinstance(change.document, StatusDocument):
        return _started(change.document, waited, completed=202)
    headers = {"Location": change.operation.document.links.self} if change.operation is not None else {}
    return document_response(change.document, 200, {**headers, **_preference_applied(waited)})


def _started(document: StatusDocument, waited: int | None, *, completed: int) -> Response:
    headers = {"Location": document.links.self, **retry_after(document), **_preference_applied(waited)}
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, completed if is_complete else 202, headers)


def _preference_applied(waited: int | None) -> dict[str, str]:
    return {"Preference-Applied": f"wait={waited}"} if waited is not None else {}
