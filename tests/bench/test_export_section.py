"""The comparison of exports and restores with COPY, with few rows."""

from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.settings import Settings
from bench.databases.large_tenant import grow
from bench.sections import restore
from bench.sections.export import KINDS, compare
from tests.app.gateway.server import RunningGateway
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

ROWS = 1000


async def test_exports_and_restores_have_the_rows_that_copy_has(
    gateway: RunningGateway,
    worker: None,  # noqa: ARG001 - creates the tenant
    settings: Settings,
    database: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    body = {
        "tenantName": "Large",
        "adminUser": {"firstName": "Ada", "lastName": "Byron", "email": "ada@exported.example"},
    }
    async with gateway.client() as http:
        created = await http.post("/tenants", json=body, headers={"Prefer": "wait=60"})
    assert created.status_code == 201, created.text
    tenant_id = UUID(created.json()["tenantId"])
    await grow(database, tenant_id, 0)

    admin_url = settings.admin_database_url.get_secret_value()
    measured = await compare(admin_url, tenant_id, tmp_path / "exports", ROWS, 1)

    rows = sum((await row_counts(database, tenant_id)).values())
    assert measured.seconds.keys() == KINDS.keys()
    assert measured.rows == dict.fromkeys(KINDS, rows)
    restored = await restore.compare(admin_url, tenant_id, tmp_path / "exports", "whole", 2)
    assert {kind: len(seconds) for kind, seconds in restored.seconds.items()} == dict.fromkeys(restore.KINDS, 2)
    assert restored.rows == dict.fromkeys(restore.KINDS, rows)
    assert await row_counts(database, tenant_id) == {}
