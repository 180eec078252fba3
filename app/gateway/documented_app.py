"""The application with its OpenAPI document."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from activities.tenants.request import TenantRequest
from app.gateway.http.openapi import REF_TEMPLATE
from app.gateway.http.problems.problem import Problem

FASTAPI_ERROR_SCHEMAS = ("HTTPValidationError", "ValidationError")


class DocumentedApp(FastAPI):
    """An application with our OpenAPI document. `billing_plans` are the values of `billingPlan` by product."""

    billing_plans: Mapping[str, Sequence[str]] = MappingProxyType({})

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is built once."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        schemas = document["components"]["schemas"]
        problem = Problem.model_json_schema(mode="serialization", ref_template=REF_TEMPLATE)
        schemas.update(problem.pop("$defs"))
        schemas[Problem.__name__] = problem
        schemas[TenantRequest.__name__]["allOf"] = [_plan_rule(*item) for item in self.billing_plans.items()]
        for name in FASTAPI_ERROR_SCHEMAS:
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                _drop_default_422(operation["responses"])
        return document


def _plan_rule(product_code: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the schema rule that `billingPlan` is one of the product's plans or null."""
    is_product: dict[str, Any] = {"properties": {"productCode": {"const": product_code}}}
    if product_code != TenantRequest.model_fields["product_code"].default:
        is_product["required"] = ["productCode"]
    return {"if": is_product, "then": {"properties": {"billingPlan": {"enum": [*names, None]}}}}


def _drop_default_422(responses: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to every route with parameters, even if it can't occur."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
