"""The request inside a workflow: reading it, and changing what no step has used yet."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from workflows.messages import TenantCreationInput
from workflows.steps import Step

ORDER = tuple(Step)

# The step that first reads each parameter which may still change after the start.
FIRST_USED_IN = {
    "tenantName": Step.CREATING_TENANT,
    "companyName": Step.CREATING_TENANT,
    "clientName": Step.CREATING_TENANT,
    "licenseCount": Step.CREATING_TENANT,
    "plan": Step.CREATING_TENANT,
    "billingSource": Step.CREATING_TENANT,
    "billingAddress": Step.CREATING_TENANT,
    "addons": Step.SETTING_UP_DATA,
    "billingPlan": Step.SETTING_UP_DATA,
    "contractLine": Step.SETTING_UP_DATA,
    "emailProvider": Step.SETTING_UP_DATA,
}


class ParameterRefusedError(Exception):
    """A parameter can't be changed; the message says why and never holds the value.

    `is_late` says that it could have been changed before.
    """

    def __init__(self, field: str, reason: str, *, is_late: bool = False) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.is_late = is_late


def parse_request(argument: Any, product_code: str | None) -> TenantCreationInput:
    """The workflow's argument as a request, of the given product where the workflow type decides it.

    Only the structure is looked at here, because rules that change between releases would break replays; the
    first step's activity checks the rest.

    Raises:
        ValidationError: something is missing or of the wrong type.
    """
    if product_code is not None and isinstance(argument, dict):
        given = {name: value for name, value in argument.items() if name != "product_code"}
        argument = {**given, "productCode": product_code}
    return TenantCreationInput.model_validate(argument)


def first_use(fields: Iterable[str]) -> Step:
    """The first step that reads one of the parameters, all of which are known."""
    return min((FIRST_USED_IN[field] for field in fields), key=ORDER.index)


def apply_changes(
    request: TenantCreationInput, changes: Mapping[str, Any], completed: Collection[Step]
) -> TenantCreationInput:
    """The request with all the parameters changed, where the given steps are known to be done.

    Raises:
        ParameterRefusedError: one of them is unknown, of the wrong type, or already used; or there are none.
    """
    if not changes:
        raise ParameterRefusedError("changes", "must name at least one parameter")
    document = request.model_dump(by_alias=True)
    for field, value in changes.items():
        first_used_in = FIRST_USED_IN.get(field)
        if first_used_in is None:
            raise ParameterRefusedError(field, f"is not one of {', '.join(FIRST_USED_IN)}")
        if first_used_in in completed:
            raise ParameterRefusedError(field, f"was already used by step {first_used_in}", is_late=True)
        document["billingPlan" if field == "contractLine" else field] = value
    try:
        return TenantCreationInput.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise ParameterRefusedError(".".join(str(part) for part in fault["loc"]), f": {fault['msg']}") from None
