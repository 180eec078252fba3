"""Changes of product over HTTP and by the command line, on all of Alga's tables."""

import json
from uuid import UUID

import asyncpg
import pytest

from tests.e2e.commands import run_command
from tests.e2e.conftest import Service, in_both_shapes
from tests.e2e.obstacles import LASTING_ERROR, lift, place
from tests.support.tenants.rows import fingerprints, row_counts
from workflows.tenants.steps import COMPLETE

pytestmark = pytest.mark.anyio

TO_PSA = {"productCode": "psa"}
AT_ONCE = {"Prefer": "wait=0"}


async def start(service: Service, tenant_id: str) -> str:
    """Start a change of product, and return its workflow id."""
    started = await service.http.post(f"/tenants/{tenant_id}/product-change", json=TO_PSA, headers=AT_ONCE)
    assert started.status_code == 202, started.text
    workflow_id: str = started.json()["workflowId"]
    return workflow_id


async def run(service: Service, tenant_id: str, *options: str) -> str:
    """Run the command as a caller of the gateway, and return its output."""
    given = {"ALGA_TENANTS_URL": service.installation.url, "ALGA_TENANTS_API_KEY": service.installation.api_key}
    ran = await run_command(service, "tenants", "change-product", tenant_id, "--product", "psa", *options, **given)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@in_both_shapes
async def test_the_preview_names_exactly_the_rows_that_the_change_adds(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    before = await row_counts(database, tenant_id)
    preview = (await service.http.get(f"/tenants/{tenant_id}/product-change")).json()
    assert await row_counts(database, tenant_id) == before
    added = {part["table"]: part["rows"] for part in preview["tables"]}
    ended = await service.finished(await start(service, tenant_id))
    assert (ended["status"], ended["warnings"], ended["result"]["addedRows"]) == ("completed", [], added)
    after = await row_counts(database, tenant_id)
    assert {table: after[table] - before.get(table, 0) for table in added} == added
    assert sum(after.values()) - sum(before.values()) == preview["rows"]
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["productCode"] == "psa"


async def test_a_change_that_is_cancelled_before_its_commit_has_written_nothing(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    before = await fingerprints(database)
    await place(database, COMPLETE, UUID(tenant_id), LASTING_ERROR)
    try:
        workflow_id = await start(service, tenant_id)
        await service.shown(workflow_id, "retrying")
        await service.http.delete(f"/operations/{workflow_id}")
        assert (await service.finished(workflow_id))["status"] == "cancelled"
    finally:
        await lift(database, UUID(tenant_id))
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()


async def test_the_command_line_previews_and_changes(service: Service) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    shown = await run(service, tenant_id, "--preview")
    for part in ("algadesk -> psa", "Dispatcher (MSP)", "client_tax_rates", "productCode: algadesk becomes psa"):
        assert part in shown
    done = json.loads(await run(service, tenant_id, "--yes", "--json"))
    assert (done["kind"], done["result"]["productCode"]) == ("tenant_product_change", "psa")
    assert "has this product" in await run(service, tenant_id, "--preview")
