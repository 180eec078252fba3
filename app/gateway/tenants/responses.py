"""Responses to requests that start operations."""

from starlette.responses import Response

from app.gateway.http.responses import document_response
from app.gateway.operations.documents import OperationView
from app.gateway.operations.responses import retry_after
from app.gateway.operations.schemas import StatusDocument
from app.gateway.tenants.creation import StartedCreation
from app.gateway.tenants.schemas import CreatedDocument
from workflows.operations.statuses import OperationStatus


def created(creation: StartedCreation, waited: int | None) -> Response:
    """Return the response with status 201 if the caller waited for a completed tenant, else with 202."""
    status_document = creation.operation.document
    document = CreatedDocument(**dict(status_document), temporary_password=creation.temporary_password)
    return _started(document, waited, completed=201)


def sent(operation: OperationView, waited: int | None) -> Response:
    """Return the response with status 200 if the caller waited until the mail was sent, else with 202."""
    return _started(operation.document, waited, completed=200)


def _started(document: StatusDocument, waited: int | None, *, completed: int) -> Response:
    headers = {"Location": document.links.self, **retry_after(document)}
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, completed if is_complete else 202, headers)
