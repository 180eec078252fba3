"""The values that `GET /options` names are those that requests accept."""

from typing import Any, get_args

import httpx
import pytest

from activities.alga.blueprints.blueprint import load_blueprints
from activities.export.rows import ExportState
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.gateway.directory.schemas import TenantState
from app.gateway.options.options import Options
from app.gateway.webhooks.schemas import SELECTABLE
from tests.app.gateway.requests import create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import ProductCode

pytestmark = pytest.mark.anyio


def names(options: dict[str, Any], field: str) -> list[str]:
    return [option["name"] for option in options[field]]


async def test_every_value_that_the_service_knows_is_named(http: httpx.AsyncClient) -> None:
    options = (await http.get("/options")).json()
    assert names(options, "operationStatuses") == list(OperationStatus)
    assert names(options, "operationKinds") == list(KINDS)
    assert names(options, "tenantStates") == list(TenantState)
    assert names(options, "exportStates") == list(ExportState)
    assert names(options, "scopes") == list(Scope)
    assert {scope["name"] for scope in options["scopes"] if scope["isDefault"]} == DEFAULT_SCOPES
    assert {*names(options, "eventTypes"), *options["eventGroups"]} == set(SELECTABLE)
    assert {product["productCode"] for product in options["products"]} == set(get_args(ProductCode))
    final = {status["name"] for status in options["operationStatuses"] if status["isFinal"]}
    assert final == {"completed", "cancelled", "failed"}
    described = ("addons", "tenantStates", "exportStates", "operationStatuses", "eventTypes", "scopes")
    assert all(option["description"] for field in described for option in options[field])


async def test_filters_accept_every_value(http: httpx.AsyncClient) -> None:
    options = (await http.get("/options")).json()
    for path, parameter, field in [
        ("/operations", "status", "operationStatuses"),
        ("/operations", "kind", "operationKinds"),
        ("/tenants", "state", "tenantStates"),
        ("/exports", "state", "exportStates"),
    ]:
        for name in names(options, field):
            response = await http.get(path, params={parameter: name, "pageSize": 1})
            assert response.status_code == 200, (path, name, response.text)


async def test_each_plan_of_a_product_can_be_asked_for(http: httpx.AsyncClient) -> None:
    options = (await http.get("/options")).json()
    (default,) = (product for product in options["products"] if product["isDefault"])
    assert (await create(http))["productCode"] == default["productCode"]
    for product in options["products"]:
        assert product["billingPlans"]
        for plan in product["billingPlans"]:
            await create(http, tenant(productCode=product["productCode"], billingPlan=plan))


def test_plans_come_from_the_blueprints_of_the_installation() -> None:
    blueprints = {"psa": load_blueprints(None)["psa"]}
    (product,) = Options(blueprints).document.products
    assert product.billing_plans == blueprints["psa"].contract_line_names


async def test_any_caller_that_may_read_tenants_gets_them(gateway: RunningGateway, keys: Keys) -> None:
    key = (await keys.create(scopes=frozenset({Scope.TENANTS_READ}))).key
    async with gateway.client(**{"X-API-Key": key}) as client:
        assert (await client.get("/options")).status_code == 200
