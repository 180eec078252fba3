"""The workflows that change a tenant's product: the gateway's, and the one that Alga's client starts."""

from typing import Any, Final, Literal
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import (
        Message,
        OperationContext,
        OperationInput,
        OperationRequest,
        ShownName,
    )
    from workflows.operations.statuses import StepStatus
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.ignored_fields import unknown_fields
    from workflows.tenants.request import ProductCode
    from workflows.tenants.steps import PRODUCT_CHANGE, PRODUCT_CHANGE_WORKFLOW, PRODUCT_UPGRADE_WORKFLOW

OLD_PRODUCT: Final = "algadesk"
NEW_PRODUCT: Final = "psa"


class ProductChangeRequest(OperationRequest):
    """Argument of the workflows.

    `tenant_name` is the gateway's. `requested_by_user_id` is what Alga's client says of its caller, unverified.
    """

    tenant_id: UUID
    product_code: Literal["psa"] = NEW_PRODUCT
    tenant_name: str | None = None
    requested_by_user_id: ShownName | None = None

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        parameters = self.model_dump(
            mode="json", by_alias=True, include={"product_code", "requested_by_user_id"}, exclude_none=True
        )
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        return {"parameters": parameters, "tenant_name": name, "product_code": self.product_code}


class ProductChangeInput(OperationInput):
    """Argument of `change_product`."""

    request: ProductChangeRequest


class ProductChangeResult(Message):
    """Result of an operation; `added_rows` is the number of rows by table, empty if the tenant had the product."""

    tenant_id: UUID
    product_code: ProductCode
    previous_product_code: ProductCode
    added_rows: dict[str, int]


class _Changing(OperationWorkflow[ProductChangeRequest]):
    kind = PRODUCT_CHANGE
    request_type = ProductChangeRequest


@workflow.defn(name=PRODUCT_CHANGE_WORKFLOW)
class ProductChangeWorkflow(_Changing):
    """Changes a tenant's product for the gateway."""

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Change the product; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request(by_us=True)
        return await self._operation.run(nothing_to_prepare, _transaction_input)


@workflow.defn(name=PRODUCT_UPGRADE_WORKFLOW)
class ProductUpgradeWorkflow(_Changing):
    """Changes a tenant's product for Alga's account page, which reads its state from Temporal and from a query."""

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:
        """Change the product; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request()
        self._operation.progress.warn(*unknown_fields(ProductChangeRequest, argument))
        return await self._operation.run(nothing_to_prepare, _transaction_input)

    @workflow.query(name="productUpgradeStatus")
    def product_upgrade_status(self) -> dict[str, Any]:
        """Return the steps by the names that Alga's client knows."""
        snapshot = self._operation.progress.snapshot
        current = self.kind.find_step(snapshot.step)
        done = [line.name for line in snapshot.steps if line.status is StepStatus.COMPLETED]
        return {
            "currentStep": current.wire_name if current is not None and not snapshot.has_ended else None,
            "completedSteps": [step.wire_name for step in self.kind.steps if step.name in done],
        }


def _transaction_input(operation: OperationContext, request: ProductChangeRequest) -> ProductChangeInput:
    return ProductChangeInput(operation=operation, request=request)
