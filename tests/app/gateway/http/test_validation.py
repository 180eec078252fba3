"""Validation errors in the words of the API."""

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from activities.tenants.request import TenantRequest
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.validation import validation_problem
from tests.app.gateway.requests import tenant, tenant_with_admin


def rejected(body: dict[str, Any]) -> ProblemError:
    with pytest.raises(ValidationError) as caught:
        TenantRequest.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return validation_problem(Request({"type": "http"}), RequestValidationError(errors))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (tenant(tenantName=None), "tenantName is required"),
        (tenant(tenantName=5), "tenantName must be a valid string"),
        (tenant(productCode="crm"), "productCode must be 'psa' or 'algadesk'"),
        (tenant(surname="Byron"), "surname is unknown; remove it"),
        (tenant_with_admin(password="short"), "adminUser.password must have at least 8 characters"),
        (tenant_with_admin(email="ada"), "adminUser.email must be an e-mail address"),
    ],
)
def test_the_detail_names_the_field_and_what_is_wrong(body: dict[str, Any], detail: str) -> None:
    assert rejected(body).detail.startswith(detail)


def test_the_detail_counts_further_errors() -> None:
    problem = rejected({})
    assert problem.errors is not None
    assert len(problem.errors) == 2
    assert problem.detail.endswith("(and 1 more, see errors)")
