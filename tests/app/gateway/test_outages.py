from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from temporalio.client import Client

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.outages import close_database, frozen
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.folders import reachable_folder
from tests.support.servers.databases import NewDatabase
from tests.support.servers.proxy import Proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

REVOKED = "SELECT cancelled_by FROM alga_tenants.cancellations"


@pytest.fixture
def own_settings(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    """Settings with a database for one test."""
    url = new_database(migrated_template)
    return settings.model_copy(
        update={
            "database_url": SecretStr(as_gateway(postgres, url)),
            "admin_database_url": SecretStr(url),
        }
    )


@pytest.fixture(scope="module")
def freezable_temporal() -> Iterator[EmbeddedTemporal]:
    """A Temporal server that a test may freeze."""
    with reachable_folder() as folder, EmbeddedTemporal(folder / "temporal", ui=False, durable=False) as server:
        yield server


def assert_outage(response: httpx.Response, code: str) -> None:
    assert_problem(response, 503, code)
    assert int(response.headers["retry-after"]) > 0
    assert response.elapsed.total_seconds() < 4


async def test_an_unreachable_temporal_is_a_503(settings: Settings, api_key: str) -> None:
    settings = settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    with RunningGateway(settings, api_key) as gateway:
        async with gateway.client() as http:
            assert_outage(await http.post("/tenants", json=tenant()), "temporal-unavailable")
            assert_outage(await http.get("/operations/unknown"), "temporal-unavailable")
            assert_outage(await http.delete("/operations/unknown"), "temporal-unavailable")
            assert (await http.get("/tenants")).status_code == 200


async def test_without_temporal_status_comes_from_the_table_and_nothing_is_started(
    settings: Settings, api_key: str, freezable_temporal: EmbeddedTemporal
) -> None:
    key = {"Idempotency-Key": "while-temporal-is-gone"}
    body = tenant()
    before = await workflow_ids(freezable_temporal)
    async with Proxy(int(freezable_temporal.address.rpartition(":")[2])) as proxy:
        settings = settings.model_copy(
            update={"temporal_address": f"127.0.0.1:{proxy.port}", "temporal_rpc_timeout": 1.0}
        )
        with RunningGateway(settings, api_key) as gateway:
            async with gateway.client() as http:
                known = await create(http)
                proxy.refuse()
                for headers in ({}, key):
                    assert_outage(await http.post("/tenants", json=body, headers=headers), "temporal-unavailable")
                response = await http.get(known["links"]["self"])
                assert (response.status_code, response.json()["source"]) == (200, "database")
                assert response.json()["cancellable"] is True
                assert_outage(await http.delete(known["links"]["cancel"]), "temporal-unavailable")
                readiness = await http.get("/readyz")
                assert (readiness.status_code, readiness.json()["checks"]["database"]) == (200, "ok")
                assert readiness.json()["checks"]["temporal"] != "ok"
                await proxy.accept()
                assert await workflow_ids(freezable_temporal) - before == {known["workflowId"]}
                started = await create(http, body, **key)
                assert await workflow_ids(freezable_temporal) - before == {known["workflowId"], started["workflowId"]}


async def test_an_uncertain_start_is_revoked_unless_its_caller_can_find_it(
    own_settings: Settings, freezable_temporal: EmbeddedTemporal
) -> None:
    api_key = await create_key(own_settings)
    settings = own_settings.model_copy(
        update={"temporal_address": freezable_temporal.address, "temporal_rpc_timeout": 1.0}
    )
    by_key, by_tenant_id = {"Idempotency-Key": "frozen"}, tenant(tenantId=str(uuid4()))
    connection = await asyncpg.connect(settings.admin_database_url.get_secret_value())
    try:
        with RunningGateway(settings, api_key) as gateway:
            async with gateway.client() as http:
                await create(http)
                for body, headers in ((tenant(), by_key), (by_tenant_id, {})):
                    with frozen(freezable_temporal.pid):
                        assert_outage(await http.post("/tenants", json=body, headers=headers), "temporal-unavailable")
                    assert (await http.post("/tenants", json=body, headers=headers)).status_code == 202
                assert await connection.fetch(REVOKED) == []
                with frozen(freezable_temporal.pid):
                    assert_outage(await http.post("/tenants", json=tenant()), "temporal-unavailable")
        assert [row["cancelled_by"] for row in await connection.fetch(REVOKED)] == ["gateway"]
    finally:
        await connection.close()


async def test_an_uncertain_start_that_cannot_be_revoked_is_a_504(
    own_settings: Settings, freezable_temporal: EmbeddedTemporal
) -> None:
    api_key = await create_key(own_settings)
    settings = own_settings.model_copy(update={"temporal_address": freezable_temporal.address})
    with RunningGateway(settings, api_key) as gateway:
        async with gateway.client() as http:
            await create(http)
            await close_database(settings.admin_database_url.get_secret_value())
            with frozen(freezable_temporal.pid):
                response = await http.post("/tenants", json=tenant())
            assert_problem(response, 504, "start-uncertain")
            assert response.elapsed.total_seconds() < 4


async def workflow_ids(temporal: EmbeddedTemporal) -> set[str]:
    client = await Client.connect(temporal.address)
    return {workflow.id async for workflow in client.list_workflows()}


async def test_an_unreachable_database_is_a_503(settings: Settings, api_key: str) -> None:
    url = SecretStr(f"postgresql://nobody:secret-password@127.0.0.1:{free_port()}/nothing")
    with RunningGateway(settings.model_copy(update={"database_url": url}), api_key) as gateway:
        async with gateway.client() as http:
            response = await http.get("/tenants")
            assert_outage(response, "database-unavailable")

            async def has_reached_temporal() -> bool:
                return bool((await http.get("/readyz")).json()["checks"]["temporal"] == "ok")

            await wait_until(has_reached_temporal, timeout=60)
            readiness = await http.get("/readyz")
    assert readiness.status_code == 200
    checks = readiness.json()["checks"]
    assert checks["migrations"] == "unknown while the database is unavailable"
    assert checks["database"].startswith("the server can't be reached")
    assert "secret-password" not in response.text + readiness.text


async def test_losing_the_database_is_a_503_for_what_needs_it(own_settings: Settings) -> None:
    api_key = await create_key(own_settings)
    with RunningGateway(own_settings, api_key) as gateway:
        async with gateway.client() as http:
            known = await create(http)
            assert (await http.get("/readyz")).json()["checks"]["migrations"] == "ok"
            await close_database(own_settings.admin_database_url.get_secret_value())
            unrecorded = await create(http)
            assert (await http.get(unrecorded["links"]["self"])).json()["source"] == "temporal"
            response = await http.post("/tenants", json=tenant(), headers={"Idempotency-Key": "away"})
            assert_outage(response, "database-unavailable")
            assert_outage(await http.get("/tenants"), "database-unavailable")
            assert_outage(await http.get("/operations"), "database-unavailable")
            assert_outage(await http.get("/operations/unknown"), "database-unavailable")
            assert_outage(await http.get(f"/tenants/{known['tenantId']}/status"), "database-unavailable")
            # The caller is cached for some seconds, and Temporal has the operation.
            assert (await http.get(known["links"]["self"])).status_code == 200
            readiness = await http.get("/readyz")
            assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
            assert readiness.json()["checks"]["database"] != "ok"
            assert readiness.json()["checks"]["migrations"] == "ok", "they are checked until they are complete"
            assert 'alga_tenants_dependency_up{dependency="database"} 0.0' in (await http.get("/metrics")).text
            assert (await http.get("/livez")).status_code == 200


async def test_without_our_schema_readiness_asks_for_a_migration(
    settings: Settings, api_key: str, new_database: NewDatabase, postgres: EmbeddedPostgres
) -> None:
    empty = SecretStr(as_gateway(postgres, new_database()))
    with RunningGateway(settings.model_copy(update={"database_url": empty}), api_key) as gateway:
        async with gateway.client() as http:
            assert_outage(await http.get("/tenants"), "database-unavailable")
            readiness = await http.get("/readyz")
            assert readiness.status_code == 503
            assert "alga-tenants migrate" in readiness.json()["checks"]["migrations"]
            assert (await http.get("/startupz")).status_code == 503
            assert (await http.get("/livez")).status_code == 200


async def test_a_gateway_starts_without_temporal_and_database(settings: Settings, tmp_path: Path) -> None:
    away = SecretStr(f"postgresql://a:b@127.0.0.1:{free_port()}/c")
    settings = settings.model_copy(
        update={"database_url": away, "temporal_address": f"127.0.0.1:{free_port()}", "blueprints_dir": tmp_path}
    )
    with RunningGateway(settings, "none") as gateway:
        async with gateway.client() as http:
            assert (await http.get("/livez")).status_code == 200
            readiness = await http.get("/readyz")
            assert readiness.status_code == 200
            assert set(readiness.json()["checks"]) == {"migrations", "database", "temporal", "task-queue"}
            assert "ok" not in readiness.json()["checks"].values()


async def test_a_database_that_rejects_the_role_keeps_a_gateway_from_starting(settings: Settings) -> None:
    parts = urlsplit(settings.admin_database_url.get_secret_value())
    url = SecretStr(parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}").geturl())
    with RunningGateway(settings.model_copy(update={"database_url": url}), "none") as gateway:
        async with gateway.client() as http:
            readiness = await http.get("/readyz")
            assert readiness.status_code == 503
            assert "does not let this role in" in readiness.json()["checks"]["migrations"]
