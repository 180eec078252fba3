"""Response to the creation of a tenant."""

from starlette.responses import Response

from app.gateway.http.responses import document_response
from app.gateway.operations.responses import retry_after
from app.gateway.tenants.creation import StartedCreation
from app.gateway.tenants.schemas import CreatedDocument
from workflows.operations.statuses import OperationStatus


def created(creation: StartedCreation, waited: int | None) -> Response:
    """Return the response with status 201 if the caller waited for a completed tenant, else with 202."""
    status_document = creation.operation.document
    document = CreatedDocument(**dict(status_document), temporary_password=creation.temporary_password)
    headers = {"Location": document.links.self, **retry_after(document)}
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, 201 if is_complete else 202, headers)
