"""The workflows that change what a tenant may use: its licence, and its add-ons. Only the gateway starts them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import OperationContext, OperationInput, OperationRequest
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.request import Plan
    from workflows.tenants.steps import (
        ADDON_CHANGE,
        ADDON_CHANGE_WORKFLOW,
        LICENCE_CHANGE,
        LICENCE_CHANGE_WORKFLOW,
    )


class EntitlementRequest(OperationRequest):
    """What the arguments of the workflows have in common.

    `tenant_name` is for people. `event_id` is the sender's id of the change: what was applied under it is not applied
    again. Without one, each request is a change of its own.
    """

    tenant_id: UUID
    tenant_name: str | None = None
    event_id: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What is requested, by the names on the wire."""
        left_out = {"tenant_id", "tenant_name", "event_id", "origin"}
        return self.model_dump(mode="json", by_alias=True, exclude=left_out, exclude_none=True)

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        event = {"eventId": self.event_id} if self.event_id is not None else {}
        return {"parameters": {**self.content, **event}, "tenant_name": name}


class LicenceRequest(EntitlementRequest):
    """Argument of the workflow that changes a licence; a field that is None stays as it is."""

    license_count: int | None = None
    plan: Plan | None = None


class AddonRequest(EntitlementRequest):
    """Argument of the workflow that grants or revokes an add-on; without `expires_at` it does not expire."""

    addon_key: str
    is_granted: bool
    expires_at: datetime | None = None


class LicenceInput(OperationInput):
    """Argument of `change_licence`."""

    request: LicenceRequest


class AddonInput(OperationInput):
    """Argument of `change_addon`."""

    request: AddonRequest


@workflow.defn(name=LICENCE_CHANGE_WORKFLOW)
class LicenceChangeWorkflow(OperationWorkflow[LicenceRequest]):
    """Changes a tenant's number of licences, its plan, or both."""

    kind = LICENCE_CHANGE
    request_type = LicenceRequest

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Change the licence; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request(by_us=True)
        return await self._operation.run(nothing_to_prepare, _licence_input)


@workflow.defn(name=ADDON_CHANGE_WORKFLOW)
class AddonChangeWorkflow(OperationWorkflow[AddonRequest]):
    """Grants a tenant an add-on, or revokes it."""

    kind = ADDON_CHANGE
    request_type = AddonRequest

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Change the add-on; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request(by_us=True)
        return await self._operation.run(nothing_to_prepare, _addon_input)


def _licence_input(operation: OperationContext, request: LicenceRequest) -> LicenceInput:
    return LicenceInput(operation=operation, request=request)


def _addon_input(operation: OperationContext, request: AddonRequest) -> AddonInput:
    return AddonInput(operation=operation, request=request)
