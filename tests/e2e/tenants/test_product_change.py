"""Changes of product over HTTP and by the command line, on all of Alga's tables; the worker may die meanwhile."""

import json
import os
import signal
import subprocess
import sys
from uuid import UUID

import anyio
import asyncpg
import pytest

from tests.e2e.conftest import PATIENCE, Service, in_both_shapes
from tests.e2e.obstacles import LASTING_ERROR, lift, place, waiting
from tests.support.servers.processes import wait_for
from tests.support.tenants.rows import fingerprints, row_counts
from workflows.tenants.steps import APPLY_BLUEPRINT, COMPLETE

pytestmark = pytest.mark.anyio

TO_PSA = {"productCode": "psa"}
AT_ONCE = {"Prefer": "wait=0"}
# The step of a creation that writes the same table.
GRANTS = APPLY_BLUEPRINT


async def start(service: Service, tenant_id: str) -> str:
    """Start a change of product, and return its workflow id."""
    started = await service.http.post(f"/tenants/{tenant_id}/product-change", json=TO_PSA, headers=AT_ONCE)
    assert started.status_code == 202, started.text
    workflow_id: str = started.json()["workflowId"]
    return workflow_id


async def run(service: Service, tenant_id: str, *options: str) -> str:
    """Run the command in a process of its own, and return its output."""
    command = [sys.executable, "-m", "app.cli", "tenants", "change-product", tenant_id, "--product", "psa", *options]
    installation = service.installation
    environment = {"ALGA_TENANTS_URL": installation.url, "ALGA_TENANTS_API_KEY": installation.api_key}
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(
            command, env={**os.environ, **environment}, check=False, stderr=subprocess.STDOUT
        )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode().splitlines()[-1] if "--json" in options else done.stdout.decode()


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


async def test_a_change_survives_the_death_of_its_worker(service: Service, database: asyncpg.Connection) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    async with waiting(database, GRANTS, UUID(tenant_id)) as gate:
        workflow_id = await start(service, tenant_id)
        await gate.reached()
        service.worker.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(wait_for, lambda: service.worker.exit_status is not None)
    await anyio.to_thread.run_sync(service.worker.start)
    assert (await service.finished(workflow_id))["status"] == "completed"
    roles = "SELECT count(*) FROM roles WHERE tenant = $1 AND role_name = 'Dispatcher'"
    assert await database.fetchval(roles, UUID(tenant_id)) == 1


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
