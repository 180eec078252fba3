"""From a live tenant over the command line and a worker to a tenant that equals it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio.client import Client

from tests.e2e.commands import run_command
from tests.e2e.conftest import Service, request
from tests.e2e.in_process import worker_in_process
from tests.support.servers.restartable import RestartableTemporal
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.model_tenant import complete_model
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio


async def create(client: Client, task_queue: str, golden: Mapping[str, Any]) -> str:
    """Create the golden tenant by a worker of the task queue, and return its id."""
    # An internal user's e-mail is unique in the installation.
    admin_user = {**golden["psa"]["input"]["adminUser"], "email": f"ada-{uuid4()}@acme.example"}
    handle = await client.start_workflow(
        "tenantCreationWorkflow",
        request(**{**golden["psa"]["input"], "adminUser": admin_user}),
        id=f"tenant-creation-{uuid4().hex}",
        task_queue=task_queue,
    )
    return str((await handle.result())["tenantId"])


async def test_a_tenant_of_a_captured_blueprint_has_the_853_golden_rows_and_equals_its_model(
    service: Service,
    database: asyncpg.Connection,
    golden: Mapping[str, Any],
    *,
    temporal: RestartableTemporal,
    tmp_path: Path,
) -> None:
    client = await Client.connect(temporal.address)
    model = await create(client, service.task_queue, golden)
    await complete_model(database, UUID(model))
    ran = await run_command(
        service, "blueprints", "capture", model, "--product", "psa", "-o", str(tmp_path / "psa.yaml")
    )
    assert ran.exit_code == 0, ran.output

    async with worker_in_process(service, BLUEPRINTS_DIR=str(tmp_path)) as queue:
        made = await create(client, queue, golden)

    counts = await row_counts(database, made)
    assert (sum(counts.values()), len(counts)) == (853, 28)
    assert counts == golden["psa"]["row_counts"]
    assert await comparable_rows(database, made) == await comparable_rows(database, model)
