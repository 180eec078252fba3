"""Makes the document of a creation."""

from app.gateway.operations.documents import OperationView, _status_fields
from app.gateway.tenants.schemas import CreatedDocument


def creation_document(view: OperationView, temporary_password: str | None) -> CreatedDocument:
    """The status document with the password that was made for the administrator, if one was."""
    return CreatedDocument(**_status_fields(view), temporary_password=temporary_password)
