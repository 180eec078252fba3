"""Documents of the creation of a tenant."""

from pydantic import Field

from app.gateway.operations.schemas import StatusDocument, _absent


class CreatedDocument(StatusDocument):
    """The status document with the password that was made."""

    temporary_password: str | None = Field(
        default=None,
        repr=False,
        description="The administrator's password; only where none was given, and only in the first answer.",
        exclude_if=_absent,
    )
