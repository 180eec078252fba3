"""Restores are requested from exports."""

from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.exports.archived import add_export, store_archive
from tests.app.gateway.exports.conftest import Storing
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import add_tenant
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio


async def test_a_restore_is_an_operation_on_the_tenant_of_its_export(
    folder_http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, in_folder.store)
    body = {"exportId": str(stored.export_id)}
    response = await folder_http.post("/restores", json=body)
    assert response.status_code == 202
    operation = response.json()
    assert response.headers["location"] == operation["links"]["self"]
    assert (operation["kind"], operation["tenantId"]) == ("tenant_restore", str(stored.tenant_id))
    assert operation["tenantName"] == "Acme"
    assert operation["parameters"] == {**body, "dryRun": False}
    assert (await folder_http.post("/restores", json=body)).json()["workflowId"] == operation["workflowId"]
    dry = await folder_http.post("/restores", json={**body, "dryRun": True})
    assert_problem(dry, 409, "operation-in-progress")


async def test_a_tenant_that_exists_is_not_restored(
    folder_http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, in_folder.store, tenant_id=await add_tenant(database))
    response = await folder_http.post("/restores", json={"exportId": str(stored.export_id)})
    assert_problem(response, 409, "tenant-exists")
    trial = await folder_http.post("/restores", json={"exportId": str(stored.export_id), "dryRun": True})
    assert trial.status_code == 202, "a dry run says so itself, among all other reasons"


async def test_only_a_complete_archive_is_restored(
    folder_http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    running, removed = uuid4(), await store_archive(database, in_folder.store)
    await add_export(database, running, uuid4(), "running")
    await folder_http.delete(removed.path)
    for export_id, status, code in (
        (uuid4(), 404, "export-not-found"),
        (running, 409, "export-incomplete"),
        (removed.export_id, 409, "export-removed"),
    ):
        assert_problem(await folder_http.post("/restores", json={"exportId": str(export_id)}), status, code)


async def test_nothing_is_restored_without_a_store(
    http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, in_folder.store)
    response = await http.post("/restores", json={"exportId": str(stored.export_id)})
    assert_problem(response, 409, "exports-not-configured")


async def test_the_management_tenant_is_not_restored(
    settings: Settings, api_key: str, in_folder: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, in_folder.store)
    changes = {"export_url": "file:///unused", "master_billing_tenant_id": stored.tenant_id}
    with RunningGateway(settings.model_copy(update=changes), api_key) as gateway:
        async with gateway.client() as http:
            response = await http.post("/restores", json={"exportId": str(stored.export_id)})
    assert_problem(response, 409, "management-tenant")


async def test_an_invalid_id_is_refused_by_name(folder_http: httpx.AsyncClient) -> None:
    response = await folder_http.post("/restores", json={"exportId": "unknown"})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["field"] == "exportId"
