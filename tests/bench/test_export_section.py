"""The comparison of exports with COPY, with few rows."""

from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.settings import Settings
from bench.databases.large_tenant import grow
from bench.sections.export import KINDS, compare
from tests.app.gateway.server import RunningGateway
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

ROWS = 1000


async def test_exports_have_the_rows_that_copy_has(
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

    assert measured.seconds.keys() == KINDS.keys()
    assert measured.rows == dict.fromkeys(KINDS, sum((await row_counts(database, tenant_id)).values()))
