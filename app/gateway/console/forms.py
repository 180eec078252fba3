"""Forms that people submit: how they are read, and how their errors return to the fields."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Depends
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.request_problems import InvalidRequestError, UnsupportedMediaTypeError
from app.gateway.http.problems.validation import faults_of

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 200
MAX_DIGITS = 18
# What browsers send for a field of type `datetime-local`.
LOCAL_TIME = re.compile(r"\d{4,6}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?")

Content = TypeVar("Content")


@dataclass(frozen=True)
class Form:
    """The values of a form by the names of its fields, and what is wrong with them.

    `message` is about the form as a whole. `faults` are by the name of the field, as in the API's documents.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return the value of a field, without space around it; empty if it was not sent."""
        return self.values.get(name, "").strip()

    def is_checked(self, name: str) -> bool:
        """Return whether a box is checked."""
        return bool(self[name])

    def chosen(self, group: str) -> list[str]:
        """Return the names of the boxes of a group that are checked, without the group's prefix."""
        prefix = f"{group}."
        return [name.removeprefix(prefix) for name in self.values if name.startswith(prefix)]

    def moment(self, name: str) -> str | None:
        """Return the time in a field as the API takes it, or None if there is none. A script has made it UTC."""
        value = self[name]
        return (f"{value}Z" if LOCAL_TIME.fullmatch(value) else value) or None

    def rejected(self, problem: ProblemError, *, fields: Sequence[str] = ()) -> Self:
        """Return the form with the problem at its fields; what belongs to none of `fields` is in the message."""
        faults: dict[str, str] = {}
        rest: list[Fault] = []
        for fault in problem.errors or ():
            # An entry of a list belongs to the list's field.
            name = fault.field if fault.field in fields else fault.field.partition(".")[0]
            if name in fields:
                faults[name] = _detail(fault)
            else:
                rest.append(fault)
        if not problem.errors:
            message: str | None = problem.detail
        elif rest:
            message = "; ".join(f"{fault.field} {_detail(fault)}" for fault in rest)
        else:
            message = "Nothing was done yet. Correct the marked fields." if faults else problem.detail
        return type(self)(self.values, message, faults)


def _detail(fault: Fault) -> str:
    """Return what is wrong, without the field's name that the details of some errors begin with."""
    return fault.detail.removeprefix(fault.field).lstrip(": ")


def check_is_form(request: Request) -> None:
    """Raise `UnsupportedMediaTypeError` unless the body is a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedMediaTypeError


async def submitted_form(request: Request) -> Form:
    """Return the form in the body; of a name that occurs several times, the last value."""
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise InvalidRequestError("The form can not be read; send it again from the console") from None
    return Form(dict(pairs))


def validated(model: type[Content] | TypeAdapter[Content], content: Mapping[str, object]) -> Content:
    """Return a body of the API's that a form has filled in; raise `InvalidRequestError` with its fields."""
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        faults = faults_of(error)
        raise InvalidRequestError("Some fields are not valid", errors=faults) from None


def check_typed(form: Form, field: str, expected: str) -> None:
    """Raise `InvalidRequestError` unless the person has typed the name of what the action changes.

    Space, invisible characters and ways to write the same letter make no difference: not all can be typed.
    """
    if _legible(form[field]) != _legible(expected):
        raise InvalidRequestError(
            "The names differ", errors=[Fault(field=field, detail=f"must be exactly {_legible(expected)}")]
        )


def name_to_type(name: str | None, tenant_id: UUID) -> str:
    """Return what a person types to confirm an action on a tenant: its name, or its id if it has none."""
    return _legible(name or "") or str(tenant_id)


def number_of(text: str) -> int | str:
    """Return the number in a field, or the text if it is none, which its model then rejects."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else text


def _legible(text: str) -> str:
    words = unicodedata.normalize("NFC", text).split()
    return " ".join(filter(None, ("".join(filter(str.isprintable, word)) for word in words)))


SubmittedForm = Annotated[Form, Depends(submitted_form)]
