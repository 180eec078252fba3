"""Responses to requests that start operations."""

from starlette.responses import Response

from app.gateway.operations.documents import OperationView
from app.gateway.operations.responses import started
from app.gateway.tenants.creation import StartedCreation
from app.gateway.tenants.schemas import CreatedDocument


def created(creation: StartedCreation, waited: int | None) -> Response:
    """Return the response with status 201 if the caller waited for a completed tenant, else with 202."""
    status_document = creation.operation.document
    document = CreatedDocument(**dict(status_document), temporary_password=creation.temporary_password)
    return started(document, waited, completed=201)


def sent(operation: OperationView, waited: int | None) -> Response:
    """Return the response with status 200 if the caller waited until the mail was sent, else with 202."""
    return started(operation.document, waited, completed=200)
