"""Reads signals, and applies changes of parameters to a request."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.operations.failures import PARAMETER_REFUSED, refusal
from workflows.operations.messages import Message, OperationRequest

RequestT = TypeVar("RequestT", bound=OperationRequest)
MessageT = TypeVar("MessageT", bound=Message)


def parse_signal(message: type[MessageT], argument: Any) -> MessageT | None:
    """Return a signal's argument as a message, or None if it is no such message."""
    try:
        return message.model_validate(argument)
    except ValidationError:
        return None


def apply_changes(request: RequestT, changes: Mapping[str, Any], changeable: Collection[str]) -> RequestT:
    """Return the request with all parameters changed.

    Raises `ApplicationError` if there is no change, or if one is unknown or has the wrong type; it holds no value.
    """
    if not changes:
        raise refusal(PARAMETER_REFUSED, "changes must name at least one parameter", "changes")
    document = request.model_dump(by_alias=True)
    for field, value in changes.items():
        if field not in changeable:
            raise refusal(PARAMETER_REFUSED, f"{field} is not one of {', '.join(changeable)}", field)
        document["billingPlan" if field == "contractLine" else field] = value
    try:
        return type(request).model_validate(document)
    except ValidationError as error:
        invalid_field, detail = first_fault(error)
        raise refusal(PARAMETER_REFUSED, detail, invalid_field) from None


def first_fault(error: ValidationError) -> tuple[str | None, str]:
    """Return the first invalid field, if there is one, and what is wrong, without its value, which may be secret."""
    fault = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    return field or None, f"{field}: {fault['msg']}" if field else fault["msg"]
