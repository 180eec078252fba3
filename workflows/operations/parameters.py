"""Reads signals, and applies changes of parameters to a request."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from workflows.operations.messages import Message, OperationRequest

RequestT = TypeVar("RequestT", bound=OperationRequest)
MessageT = TypeVar("MessageT", bound=Message)


class ParameterRefusedError(Exception):
    """A parameter can't be changed; the message says why and never holds the value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field


def parse_signal(message: type[MessageT], argument: Any) -> MessageT | None:
    """Return a signal's argument as a message, or None if it is no such message."""
    try:
        return message.model_validate(argument)
    except ValidationError:
        return None


def apply_changes(request: RequestT, changes: Mapping[str, Any], changeable: Collection[str]) -> RequestT:
    """Return the request with all parameters changed.

    Raises `ParameterRefusedError` if there is no change, or if one is unknown or has the wrong type.
    """
    if not changes:
        raise ParameterRefusedError("changes", "must name at least one parameter")
    document = request.model_dump(by_alias=True)
    for field, value in changes.items():
        if field not in changeable:
            raise ParameterRefusedError(field, f"is not one of {', '.join(changeable)}")
        document["billingPlan" if field == "contractLine" else field] = value
    try:
        return type(request).model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise ParameterRefusedError(".".join(str(part) for part in fault["loc"]), f": {fault['msg']}") from None
