"""The request inside a workflow: reading it, and changing what no step has used yet."""

from typing import Any

from pydantic import ValidationError

from workflows.messages import ParameterUpdate, TenantCreationInput
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
    """A parameter can't be changed; the message says why and never holds the value."""


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


def apply_update(request: TenantCreationInput, update: ParameterUpdate, step: Step | None) -> TenantCreationInput:
    """The request with one parameter changed, where the operation stands at the given step.

    Raises:
        ParameterRefusedError: the parameter is unknown, of the wrong type, or already used.
    """
    first_used_in = FIRST_USED_IN.get(update.field)
    if first_used_in is None:
        raise ParameterRefusedError(f"{update.field} is not one of {', '.join(FIRST_USED_IN)}")
    if step is not None and ORDER.index(step) >= ORDER.index(first_used_in):
        raise ParameterRefusedError(f"{update.field} was already used by step {first_used_in}")
    document = request.model_dump(by_alias=True)
    name = "billingPlan" if update.field == "contractLine" else update.field
    try:
        return TenantCreationInput.model_validate({**document, name: update.value})
    except ValidationError as error:
        reason = error.errors(include_input=False)[0]["msg"]
        raise ParameterRefusedError(f"{update.field}: {reason}") from None
