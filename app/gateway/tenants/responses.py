"""Responses to the creation of a tenant."""

from starlette.responses import Response

from app.gateway.http.responses import document_response
from app.gateway.operations.responses import retry_after
from app.gateway.tenants.schemas import CreatedDocument
from workflows.operations.messages import OperationStatus


def created(document: CreatedDocument, waited: int | None) -> Response:
    """202, or 201 where the caller has waited and the tenant is complete."""
    headers = {"Location": document.links.self, **retry_after(document)}
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, 201 if is_complete else 202, headers)
