"""The application with its OpenAPI document."""

from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from activities.tenants.request import TenantRequest
from app.gateway.documentation.rewriting import (
    drop_default_422,
    drop_titles,
    drop_unused_schemas,
    loosen_request_schemas,
    operations_of,
    show_body_example,
    show_scopes,
    simplify_parameter,
)
from app.gateway.http.openapi import REF_TEMPLATE, problems
from app.gateway.http.problems.problem import Problem
from app.gateway.http.problems.request_problems import HeadersTooLargeError

HEADERS_TOO_LARGE = problems(HeadersTooLargeError)[431]
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
        schemas[TenantRequest.__name__] |= _plan_rule(self.billing_plans)
        for name in FASTAPI_ERROR_SCHEMAS:
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                # Of middleware.
                operation["responses"].setdefault("431", HEADERS_TOO_LARGE)
        for operation in operations_of(document):
            drop_default_422(operation)
            show_scopes(operation)
            for parameter in operation.get("parameters", ()):
                simplify_parameter(parameter)
            show_body_example(operation, schemas)
        loosen_request_schemas(document)
        drop_unused_schemas(document)
        for schema in schemas.values():
            drop_titles(schema)
        return document


def _plan_rule(billing_plans: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the schema rule that `billingPlan` is one of the product's plans or null."""

    def add(rule: dict[str, Any], product: tuple[str, Sequence[str]]) -> dict[str, Any]:
        code, names = product
        is_product: dict[str, Any] = {"properties": {"productCode": {"const": code}}}
        if code != TenantRequest.model_fields["product_code"].default:
            is_product["required"] = ["productCode"]
        # Linters would reject the other fields without the last keyword.
        is_plan = {"properties": {"billingPlan": {"enum": [*names, None]}}, "additionalProperties": True}
        return {"if": is_product, "then": is_plan, **({"else": rule} if rule else {})}

    return reduce(add, billing_plans.items(), {})
