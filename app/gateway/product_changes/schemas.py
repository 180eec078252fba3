"""Bodies and documents of changes of product."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from activities.alga.directory.tenants import TenantRecord
from activities.errors import FinalError
from activities.product_changes.plan import Plan
from activities.tenants.request import RequestModel
from app.gateway.http.problems.problem import Document
from app.gateway.operations.schemas import WarningDocument, omitted_if_none
from workflows.tenants.changes.product_change import NEW_PRODUCT, OLD_PRODUCT
from workflows.tenants.request import ProductCode


def _reject_other(value: str) -> str:
    if value != NEW_PRODUCT:
        detail = f"must be {NEW_PRODUCT}: a tenant can only change from {OLD_PRODUCT} to {NEW_PRODUCT}"
        raise PydanticCustomError("product_code", detail)
    return value


NewProduct = Annotated[str, AfterValidator(_reject_other), WithJsonSchema({"type": "string", "enum": [NEW_PRODUCT]})]


class ProductChangeBody(RequestModel):
    """To which product a tenant changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"productCode": NEW_PRODUCT}]})

    product_code: NewProduct = Field(description="The new product.")


class PartDocument(Document):
    """Rows of one table."""

    model_config = ConfigDict(from_attributes=True)

    table: str
    rows: int = Field(validation_alias="number", description="Their number.")
    examples: list[str] = Field(description="Names of the first of them, or of what they belong to.")


class RefusalDocument(Document):
    """Why the product can't be changed."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(description="The `code` of the problem with which a change is refused.")
    detail: str
    field: str | None = omitted_if_none("The field of the request that it is about.")


class ProductChangePreview(Document):
    """What a change of product would write now. Nothing has been written."""

    tenant_id: UUID
    name: str
    product_code: str = Field(description="The product that the tenant has.")
    new_product_code: ProductCode
    is_allowed: bool = Field(description="Whether there are no refusals.")
    refusals: list[RefusalDocument] = Field(description="All reasons why the product can't be changed.")
    rows: int = Field(description="The number of rows that would be added.")
    tables: list[PartDocument] = Field(description="The rows that would be added.")
    changes: list[PartDocument] = Field(description="The rows that would be changed.")
    stays: list[PartDocument] = Field(
        description="Rows that a new tenant of that product would not have. They stay as they are."
    )
    warnings: list[WarningDocument] = Field(description="What this version of Alga has no place for.")

    @classmethod
    def of(cls, tenant: TenantRecord, product: ProductCode, plan: Plan, refusals: list[FinalError]) -> Self:
        """Return the document of a plan."""
        return cls(
            tenant_id=tenant.tenant_id,
            name=tenant.name,
            product_code=tenant.product_code,
            new_product_code=product,
            is_allowed=not refusals,
            refusals=[RefusalDocument.model_validate(refusal) for refusal in refusals],
            rows=sum(plan.added.values()),
            tables=[PartDocument.model_validate(part) for part in plan.added_parts],
            changes=[PartDocument.model_validate(item.part) for item in plan.changes],
            stays=[PartDocument.model_validate(part) for part in plan.stays],
            warnings=[WarningDocument.model_validate(warning) for warning in plan.warnings],
        )
