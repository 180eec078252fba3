"""Validation errors in the words of the API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from activities.tenants.request import TenantChanges, TenantRequest
from app.gateway.app import create_app
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.validation import validation_problem
from app.gateway.keys.documents import NewApiKeyRequest
from app.settings import Settings
from tests.app.gateway.requests import tenant, tenant_with_admin

# Values that are wrong for most fields, each in its own way.
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "\0",
    "a\nb",
    "-",
    "x" * 5000,
    "2026-02-30T00:00:00Z",
    "2026-02-01",
    "2026-02-01T00:00:00",
    [],
    [None],
    ["-"] * 2000,
    {},
    {"x": 1},
)
PREDICATE = re.compile(r"(must|is|has|needs|can't)\b")
# What pydantic says, and a sender of requests can't know.
JARGON = re.compile(
    r"\b(Input|should|String|valid (string|integer|boolean|list|dictionary)|items|pattern|[Ff]rozenset)\b"
)


def rejected(body: Any, model: Any = TenantRequest, route: Any = None) -> ProblemError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return validation_problem(Request({"type": "http", "route": route}), RequestValidationError(errors))


def routes(app: FastAPI) -> Iterator[APIRoute]:
    for route in app.routes:
        for inner in getattr(getattr(route, "original_router", None), "routes", [route]):
            if isinstance(inner, APIRoute) and not inner.path.startswith("/console"):
                yield inner


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (tenant(tenantName=None), "tenantName is required"),
        (tenant(tenantName=5), "tenantName must be a string"),
        (tenant(tenantName=" "), "tenantName must not be empty"),
        (tenant(tenantName="x" * 256), "tenantName must have at most 255 characters"),
        (tenant(productCode="crm"), "productCode must be psa or algadesk"),
        (tenant(billingSource="cash"), "billingSource must be one of: manual, stripe, apple_iap"),
        (tenant(surname="Byron"), "surname is unknown; remove it"),
        (tenant(licenseCount=0), "licenseCount must be at least 1"),
        (tenant(licenseCount=10**7), "licenseCount must be at most 1000000"),
        (tenant(licenseCount="5"), "licenseCount must be a whole number"),
        (tenant(skipWelcomeEmail="yes"), "skipWelcomeEmail must be true or false"),
        (tenant(adminUser="Ada"), "adminUser must be an object"),
        (tenant(addons="teams"), "addons must be a list"),
        (tenant(addons=["teams"] * 51), "addons must have at most 50 entries"),
        (tenant(addons=["teams", "A B"]), "addons.1 must be lower-case letters, digits, dots"),
        (tenant(tenantId="17"), "tenantId must be a UUID like 1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
        (tenant(billingAddress={"countryCode": "USA"}), "billingAddress.countryCode must be a country code of two"),
        (tenant(stripeCustomerId="cus 1"), "stripeCustomerId must be visible ASCII characters without spaces"),
        (tenant_with_admin(password="short"), "adminUser.password must have at least 8 characters"),
        (tenant_with_admin(password=["x"]), "adminUser.password must be a string"),
        (tenant_with_admin(email="ada"), "adminUser.email must be an e-mail address"),
        ([], "body must be an object"),
    ],
)
def test_the_detail_names_the_field_and_what_is_wrong(body: Any, detail: str) -> None:
    assert rejected(body).detail.startswith(detail)


@pytest.mark.parametrize(
    ("time", "detail"),
    [
        ("2026-02-30T00:00:00Z", "must be a time like 2026-01-31T12:00:00Z (day value is outside expected range)"),
        ("2026-02-01T00:00:00", "must have a time zone, as in 2026-01-31T12:00:00Z"),
        (1769860800, "must be a time like 2026-01-31T12:00:00Z"),
        ("tomorrow", "must be a time like 2026-01-31T12:00:00Z"),
    ],
)
def test_the_detail_shows_how_a_time_is_written(time: object, detail: str) -> None:
    apple = {"originalTransactionId": "1", "productId": "p", "bundleId": "b", "environment": "Sandbox"}
    problem = rejected(tenant(appleIap={**apple, "expiresAt": time}))
    assert problem.errors == (Fault(field="appleIap.expiresAt", detail=detail),)


def test_the_detail_names_three_errors_and_counts_further_ones() -> None:
    assert rejected({}).detail == "tenantName is required; adminUser is required"
    problem = rejected(tenant(licenseCount=0, plan="x", tenantId="x", addons="x", productCode="x"))
    assert problem.errors is not None
    assert len(problem.errors) == 5
    assert problem.detail.startswith("licenseCount must be at least 1; productCode must be psa or algadesk; plan ")
    assert problem.detail.endswith(" (and 2 more, see errors)")


def test_each_error_is_reported_once() -> None:
    errors = [
        {"type": "string_type", "loc": ("body", "plan"), "msg": "Input should be a valid string"},
        {"type": "string_type", "loc": ("body", "plan"), "msg": "Input should be a valid string"},
        {"type": "int_type", "loc": ("body", "plan"), "msg": "Input should be a valid integer"},
    ]
    problem = validation_problem(Request({"type": "http"}), RequestValidationError(errors))
    assert problem.detail == "plan must be a string; plan must be a whole number"


def test_a_list_of_names_is_shown_as_it_is() -> None:
    assert rejected({"name": "n", "scopes": ["tenants:red"]}, NewApiKeyRequest).detail.startswith(
        "scopes.0 must be one of: tenants:create, tenants:read, "
    )
    assert rejected({"name": "n", "scopes": []}, NewApiKeyRequest).detail == "scopes must not be empty"


def test_a_name_that_can_not_be_removed_is_named() -> None:
    problem = rejected({"tenantName": None}, TenantChanges)
    assert problem.errors == (Fault(field="tenantName", detail="must not be null; leave it out to keep it"),)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (tenant(tenant_nam="x"), "tenant_nam is unknown; did you mean tenantName?"),
        (tenant(ProductCode="psa"), "ProductCode is unknown; did you mean productCode?"),
        (tenant(licenceCount=3), "licenceCount is unknown; did you mean licenseCount?"),
        (tenant_with_admin(mail="x"), "adminUser.mail is unknown; did you mean email?"),
        (tenant(billingAddress={"postCode": "1"}), "billingAddress.postCode is unknown; did you mean postalCode?"),
        (tenant_with_admin(zzz=1), "adminUser.zzz is unknown; remove it (known: firstName, lastName, email, "),
    ],
)
def test_an_unknown_field_gets_the_name_that_is_most_like_it(app: FastAPI, body: Any, detail: str) -> None:
    (route,) = (one for one in routes(app) if one.path == "/tenants" and "POST" in (one.methods or ()))
    assert rejected(body, route=route).detail.startswith(detail)


@pytest.mark.parametrize(
    ("text", "place"),
    [("{\n  'a': 1}", "line 2, column 3"), ('{"a": 1,}', "line 1, column 9"), ("", "line 1, column 1")],
)
def test_a_body_that_is_no_json_is_reported_with_its_place(text: str, place: str) -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    item = {"type": "json_invalid", "loc": ("body", caught.value.pos), "ctx": {"error": caught.value.msg}}
    problem = validation_problem(Request({"type": "http"}), RequestValidationError([item], body=text))
    assert problem.status == 400
    assert problem.detail.startswith("The body is not valid JSON: ")
    assert problem.detail.endswith(f" at {place}")


def test_every_parameter_and_field_is_refused_in_words_for_people(app: FastAPI) -> None:
    """Each gets values that are wrong in many ways. None of pydantic's own messages is left."""
    seen = 0
    for route in routes(app):
        tried: list[tuple[tuple[str, ...], Any, Any]] = [
            ((field.alias,), field, wrong) for field in parameters(route.dependant) for wrong in WRONG
        ]
        if (body := route.body_field) is not None:
            tried += [((), body, wrong) for wrong in bodies_of(body)]
        for place, field, wrong in tried:
            for fault in faults(place, field, wrong):
                seen += 1
                where = f"{route.path} {field.alias} {str(wrong)[:80]}: {fault.field} {fault.detail}"
                assert PREDICATE.match(fault.detail), where
                assert not JARGON.search(fault.detail), where
    assert seen > 1000


def parameters(dependant: Dependant) -> Iterator[Any]:
    yield from (*dependant.query_params, *dependant.path_params, *dependant.header_params)
    for inner in dependant.dependencies:
        yield from parameters(inner)


def bodies_of(field: Any) -> Iterator[Any]:
    """Yield bodies with one wrong value each, at every depth."""
    yield from (wrong for wrong in WRONG if wrong is not None)
    schema = field._type_adapter.json_schema()
    definitions = schema.get("$defs", {})

    def within(part: dict[str, Any]) -> Iterator[Any]:
        for option in (part, *part.get("anyOf", ()), *part.get("allOf", ())):
            if "$ref" in option:
                yield from within(definitions[option["$ref"].rpartition("/")[2]])
            for name, inner in option.get("properties", {}).items():
                yield from ({name: wrong} for wrong in WRONG)
                yield from ({name: deeper} for deeper in within(inner))
            if "items" in option:
                yield from ([deeper] for deeper in within(option["items"]))

    yield from within(schema)


def faults(place: tuple[str, ...], field: Any, value: Any) -> tuple[Fault, ...]:
    """Return the faults of a value at a place of the request, as in a response."""
    try:
        field._type_adapter.validate_python(value)
    except ValidationError as error:
        errors = [{**item, "loc": ("body", *place, *item["loc"])} for item in error.errors()]
        return validation_problem(Request({"type": "http"}), RequestValidationError(errors)).errors or ()
    except ProblemError:
        pass
    return ()
