import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.app.gateway.requests import assert_problem, faults, tenant, tenant_with_admin

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (tenant(tenantName=None), "tenantName"),
        (tenant(adminUser=None), "adminUser"),
        (tenant_with_admin(firstName=None), "adminUser.firstName"),
        (tenant_with_admin(lastName=None), "adminUser.lastName"),
        (tenant_with_admin(email=None), "adminUser.email"),
        (tenant(tenantName=""), "tenantName"),
        (tenant(tenantName="   "), "tenantName"),
        (tenant(tenantName=5), "tenantName"),
        (tenant(tenantName="a" * 200 * 1024), "tenantName"),
        (tenant(tenantName="nul\0nul"), "tenantName"),
        (tenant(tenantName="two\nlines"), "tenantName"),
        (tenant(tenantName="\ud800"), "tenantName"),
        (tenant(tenant_name="twice", tenantName="twice"), "tenant_name"),
        (tenant(surprise=1), "surprise"),
        (tenant_with_admin(nickname="Lady"), "adminUser.nickname"),
        (tenant_with_admin(email="ada"), "adminUser.email"),
        (tenant_with_admin(email="ada@"), "adminUser.email"),
        (tenant_with_admin(email="ada@acme.example\0"), "adminUser.email"),
        (tenant_with_admin(password="short"), "adminUser.password"),
        (tenant_with_admin(password="a half \ud800"), "adminUser.password"),
        (tenant_with_admin(password="p" * 257), "adminUser.password"),
        (tenant_with_admin(password="nul\0nul\0nul"), "adminUser.password"),
        (tenant(productCode="crm"), "productCode"),
        (tenant(plan="platinum"), "plan"),
        (tenant(licenseCount=0), "licenseCount"),
        (tenant(billingAddress={"countryCode": "USA"}), "billingAddress.countryCode"),
        (tenant(billingAddress={"planet": "Earth"}), "billingAddress.planet"),
        (tenant(addons=["ok", "NOT OK"]), "addons.1"),
        (tenant(tenantId="1234"), "tenantId"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
async def test_an_invalid_field_is_named(http: httpx.AsyncClient, body: Any, field: str) -> None:
    response = await http.post("/tenants", content=json.dumps(body), headers=JSON)
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == [field]


async def test_all_faults_are_reported_at_once(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json={"adminUser": {"email": "ada", "firstName": "Ada"}, "extra": 1})
    assert set(faults(response)) == {"tenantName", "adminUser.lastName", "adminUser.email", "extra"}


async def test_an_unknown_field_is_reported_with_the_known_ones(http: httpx.AsyncClient) -> None:
    detail = faults(await http.post("/tenants", json=tenant_with_admin(colour="red")))["adminUser.colour"]
    assert "remove it" in detail
    assert "firstName, lastName, email, password" in detail


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("/operations?statuss=failed", {"statuss": "is unknown; did you mean status?"}),
        ("/tenants?state=active&page_size=5&x=1&x=2", {"page_size": "pageSize?", "x": "(known: state, pageSize, "}),
        ("/operations/counts?", {}),
        ("/options?=", {"query": "is unknown; remove it"}),
        ("/tenants/7?%0A=1", {"\N{REPLACEMENT CHARACTER}": "is unknown; remove it"}),
    ],
)
async def test_an_unknown_parameter_of_a_query_is_refused(
    http: httpx.AsyncClient, query: str, expected: dict[str, str]
) -> None:
    response = await http.get(query)
    if not expected:
        assert response.is_success
        return
    assert_problem(response, 422, "invalid-request")
    found = faults(response)
    assert found.keys() == expected.keys()
    assert all(expected[name] in detail for name, detail in found.items())


async def test_a_request_with_an_unknown_parameter_changes_nothing(http: httpx.AsyncClient) -> None:
    name = uuid4().hex
    refused = await http.post("/tenants?dryRun=true", json=tenant(tenantName=name))
    assert list(faults(refused)) == ["dryRun"]
    assert (await http.get("/operations", params={"name": name})).json()["operations"] == []


async def test_many_faults_and_long_names_do_not_make_a_long_response(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json={**tenant(), **{f"{number}{'x' * 500}": 1 for number in range(180)}})
    assert_problem(response, 422, "invalid-request")
    assert len(response.content) < 50_000


async def test_values_are_not_repeated(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant_with_admin(password="\0 my secret", email="my-secret"))
    assert set(faults(response)) == {"adminUser.password", "adminUser.email"}
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "content",
    [b"{", b"{'tenantName': 1}", b"\xff\xfe", b'{"tenantName": "\xff"}', b"1" * 5000],
    ids=["cut", "quotes", "bytes", "no-utf-8", "long-number"],
)
async def test_a_body_that_is_not_json_is_a_400(http: httpx.AsyncClient, content: bytes) -> None:
    assert_problem(await http.post("/tenants", content=content, headers=JSON), 400, "malformed-json")


async def test_a_missing_body_is_reported(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants")
    assert_problem(response, 422, "invalid-request")
    assert faults(response) == {"body": "is required"}


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense", "", None]
)
async def test_a_body_of_another_type_is_a_415(http: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type is not None else {}
    response = await http.post("/tenants", content=json.dumps(tenant()), headers=headers)
    assert_problem(response, 415, "unsupported-media-type")


async def test_other_json_media_types_are_accepted(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/vnd.acme+json; charset=utf-8"}
    assert (await http.post("/tenants", content=json.dumps(tenant()), headers=headers)).status_code == 202


async def test_a_huge_body_is_a_413_with_or_without_content_length(http: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for _ in range(64):
            yield b" " * 65536

    for content in (b" " * 64 * 65536, pieces()):
        assert_problem(await http.post("/tenants", content=content, headers=JSON), 413, "body-too-large")
