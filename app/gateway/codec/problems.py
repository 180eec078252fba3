"""Problems with payloads of workflow histories."""

from typing import Self

from app.gateway.http.problems.problem import Fault, ProblemError


class PayloadUnreadableError(ProblemError):
    """A payload can't be decrypted."""

    status, code = 422, "payload-unreadable"

    @classmethod
    def example(cls) -> Self:
        """Return the example in the OpenAPI document."""
        return cls.of_field("payloads.0", "a payload of key '2026-11' was changed or cut short")

    @classmethod
    def of_field(cls, field: str, detail: str) -> Self:
        """Return a problem with one payload."""
        return cls(f"{field}: {detail}", errors=[Fault(field=field, detail=detail)])
