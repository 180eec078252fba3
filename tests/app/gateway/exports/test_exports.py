"""Exports are requested, listed, shown and removed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from activities.export.rows import ExportState
from tests.app.gateway.exports.archived import SNAPSHOT, Stored, add_export, recorded, store_archive
from tests.app.gateway.exports.conftest import Storing
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import add_tenant

pytestmark = pytest.mark.anyio


async def test_an_export_is_an_operation(folder_http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    response = await folder_http.post(f"/tenants/{tenant_id}/exports", json={"reason": "move"})
    assert response.status_code == 202
    operation = response.json()
    assert response.headers["location"] == operation["links"]["self"]
    assert (operation["kind"], operation["tenantId"]) == ("tenant_export", str(tenant_id))
    assert operation["parameters"] == {"reason": "move", "includeSecrets": False}
    assert operation["workflowId"].startswith("tenant-export-")


async def test_the_same_request_returns_the_open_operation(
    folder_http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    path = f"/tenants/{await add_tenant(database)}/exports"
    first = (await folder_http.post(path)).json()
    assert (await folder_http.post(path, json={"includeSecrets": False})).json()["workflowId"] == first["workflowId"]
    assert_problem(await folder_http.post(path, json={"includeSecrets": True}), 409, "operation-in-progress")


async def test_a_tenant_is_exported_beside_another_operation(
    folder_http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    assert (await folder_http.post(f"/tenants/{tenant_id}/exports")).status_code == 202
    assert (await folder_http.post(f"/tenants/{tenant_id}/welcome-email")).status_code == 202


async def test_nothing_is_exported_without_a_store(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    response = await http.post(f"/tenants/{await add_tenant(database)}/exports")
    assert_problem(response, 409, "exports-not-configured")
    assert "EXPORT_URL" in response.json()["detail"]


async def test_an_unknown_tenant_is_neither_exported_nor_listed(folder_http: httpx.AsyncClient) -> None:
    for path in (f"/tenants/{uuid4()}/exports", "/tenants/unknown/exports"):
        assert_problem(await folder_http.post(path), 404, "tenant-not-found")
        assert_problem(await folder_http.get(path), 404, "tenant-not-found")


async def test_unknown_fields_are_refused_by_name(
    folder_http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    response = await folder_http.post(f"/tenants/{await add_tenant(database)}/exports", json={"secrets": True})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["field"] == "secrets"


async def test_an_export_has_the_state_of_its_operation_until_it_is_complete(
    folder_http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    expected = {}
    for number, (status, state) in enumerate(
        {
            "running": "running",
            "retrying": "running",
            "needs_attention": "running",
            "failed": "failed",
            "cancelled": "cancelled",
            None: "failed",
        }.items()
    ):
        export_id = uuid4()
        await add_export(database, export_id, tenant_id, status, requested_at=SNAPSHOT + timedelta(seconds=number))
        expected[str(export_id)] = state
    swept = uuid4()
    await add_export(database, swept, tenant_id, "failed", removed_at=SNAPSHOT)
    expected[str(swept)] = "failed"
    complete: list[tuple[dict[str, Any], str]] = [
        ({}, "completed"),
        ({"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, "expired"),
        ({"removed_at": SNAPSHOT}, "expired"),
    ]
    for changes, state in complete:
        stored = await store_archive(database, in_folder.store, tenant_id=tenant_id, **changes)
        expected[str(stored.export_id)] = state
    listed: dict[str, str] = {}
    query = {"pageSize": "4"}
    while True:
        page = (await folder_http.get(f"/tenants/{tenant_id}/exports", params=query)).json()
        listed |= {item["exportId"]: item["state"] for item in page["exports"]}
        if page["nextPageToken"] is None:
            break
        query["pageToken"] = page["nextPageToken"]
    assert listed == expected
    for state in ExportState:
        query = {"tenantId": str(tenant_id), "state": state, "pageSize": "200"}
        page = (await folder_http.get("/exports", params=query)).json()
        found = {item["exportId"]: item["state"] for item in page["exports"]}
        assert found == {known_id: known for known_id, known in expected.items() if known == state}
    for known_id, state in expected.items():
        assert (await folder_http.get(f"/exports/{known_id}")).json()["state"] == state


async def test_the_exports_of_all_tenants_are_listed_page_by_page(
    folder_http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Exported {uuid4()}"
    expected: list[str] = []
    for number in range(3):
        export_id = uuid4()
        expected.insert(0, str(export_id))
        moment = SNAPSHOT + timedelta(seconds=number)
        await add_export(database, export_id, uuid4(), "failed", requested_at=moment)
        await database.execute(
            "UPDATE alga_tenants.exports SET tenant_name = $1 WHERE export_id = $2", name, export_id
        )
    first = (await folder_http.get("/exports", params={"name": name[:-1], "pageSize": 2})).json()
    query = {"name": name, "pageSize": 2, "pageToken": first["nextPageToken"]}
    last = (await folder_http.get("/exports", params=query)).json()
    assert last["nextPageToken"] is None
    assert [item["exportId"] for item in (*first["exports"], *last["exports"])] == expected
    for field in ("state", "tenantId", "pageToken"):
        response = await folder_http.get("/exports", params={field: "x"})
        assert_problem(response, 422, "invalid-request")
        assert field in faults(response)


async def test_a_running_export_shows_its_progress(
    folder_http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    export_id, tenant_id = uuid4(), await add_tenant(database)
    progress = {"current_table": "users", "tables_done": 3, "tables_total": 40, "rows": 12, "bytes": 345}
    workflow_id = await add_export(database, export_id, tenant_id, "running", include_secrets=True, **progress)
    shown = (await folder_http.get(f"/exports/{export_id}")).json()
    assert shown["progress"] == {"table": "users", "tablesDone": 3, "tablesTotal": 40, "rows": 12, "bytes": 345}
    assert (shown["masked"], shown["totals"], shown["manifest"]) == (False, None, None)
    assert shown["links"] == {
        "self": f"/exports/{export_id}",
        "tenant": f"/tenants/{tenant_id}",
        "operation": f"/operations/{workflow_id}",
        "manifest": None,
        "content": None,
    }
    for path in ("/manifest", "/parts/users", "/content"):
        response = await folder_http.get(f"/exports/{export_id}{path}")
        assert_problem(response, 409, "export-incomplete")
    assert_problem(await folder_http.delete(f"/exports/{export_id}"), 409, "export-incomplete")


@pytest.mark.parametrize(("status", "state"), [("cancelled", "cancelled"), ("failed", "failed"), (None, "failed")])
async def test_an_export_that_did_not_complete_has_no_archive_although_files_are_left(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection, status: str | None, state: str
) -> None:
    whole = await store_archive(database, storing.store)
    export_id = uuid4()
    unfinished = {"folder": whole.folder, "manifest_sha256": whole.manifest.sha256}
    await add_export(database, export_id, whole.tenant_id, status, **unfinished)
    for path in ("/manifest", "/parts/users", "/parts/users?presigned=true", "/content"):
        response = await exporter.get(f"/exports/{export_id}{path}")
        assert_problem(response, 409, "export-incomplete")
        assert f"The export is {state}" in response.json()["detail"]
    restore = await exporter.post("/restores", json={"exportId": str(export_id)})
    assert_problem(restore, 409, "export-incomplete")


async def test_a_half_removed_archive_is_not_served(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection
) -> None:
    """As a removal leaves it that broke off: its row says that it has expired."""
    stored = await store_archive(database, storing.store, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    storing.files.delete(stored.part("users"))
    for path in ("/manifest", "/parts/users", "/parts/tenants", "/parts/users?presigned=true", "/content"):
        assert_problem(await exporter.get(f"{stored.path}{path}"), 409, "export-removed")
    shown = (await exporter.get(stored.path)).json()
    assert (shown["state"], shown["removedAt"], shown["links"]["content"]) == ("expired", None, None)
    assert (await exporter.delete(stored.path)).json()["removedAt"] is not None
    assert await storing.store.list(stored.folder) == ()


async def test_a_complete_export_shows_what_its_archive_holds(exporter: httpx.AsyncClient, stored: Stored) -> None:
    shown = (await exporter.get(stored.path)).json()
    assert (shown["exportId"], shown["tenantId"]) == (str(stored.export_id), str(stored.tenant_id))
    assert (shown["masked"], shown["progress"]) == (True, None)
    assert shown["totals"] == {"rows": 4, "bytes": sum(map(len, stored.parts.values()))}
    assert shown["manifestSha256"] == stored.manifest.sha256
    assert shown["links"]["manifest"] == f"{stored.path}/manifest"
    assert shown["links"]["content"] == f"{stored.path}/content"
    tables = {table["name"]: table for table in shown["manifest"]["tables"]}
    assert {name: table["rows"] for name, table in tables.items()} == {"tenants": 2, "users": 2, "tickets": 0}
    assert tables["users"]["part"]["bytes"] == len(stored.parts["users"])
    assert tables["tickets"]["part"] is None
    assert "manifestProblem" not in shown


async def test_an_unknown_export_is_not_found(folder_http: httpx.AsyncClient) -> None:
    for export_id in (uuid4(), "unknown", "00000000-0000-0000-0000-00000000000g"):
        for path in ("", "/manifest", "/parts/users", "/content"):
            assert_problem(await folder_http.get(f"/exports/{export_id}{path}"), 404, "export-not-found")
        assert_problem(await folder_http.delete(f"/exports/{export_id}"), 404, "export-not-found")


async def test_a_removed_archive_leaves_no_file_and_is_not_served(
    exporter: httpx.AsyncClient, storing: Storing, stored: Stored
) -> None:
    async with storing.store.write(f"{stored.tenant_id}/{stored.export_id}/earlier/manifest.json") as writer:
        await writer.write(b"left by an attempt")
    removed = (await exporter.delete(stored.path)).json()
    assert (removed["state"], removed["manifest"], removed["links"]["content"]) == ("expired", None, None)
    assert removed["removedAt"] is not None
    assert await storing.store.list(str(stored.tenant_id)) == ()
    for path in ("/manifest", "/parts/users", "/content"):
        assert_problem(await exporter.get(f"{stored.path}{path}"), 409, "export-removed")
    assert (await exporter.delete(stored.path)).json() == removed
    assert await recorded(exporter, stored, "export.delete", 1) == [{}]


async def test_an_expired_archive_is_not_served(
    folder_http: httpx.AsyncClient, in_folder: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, in_folder.store, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for path in ("/manifest", "/parts/users", "/content"):
        assert_problem(await folder_http.get(f"{stored.path}{path}"), 409, "export-removed")
