import signal
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.obstacles import waiting
from tests.support.servers.processes import wait_for
from workflows.tenants.steps import CREATE_TENANT

pytestmark = pytest.mark.anyio


async def test_sigterm_lets_a_running_step_finish_and_exits_with_0(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    async with waiting(database, CREATE_TENANT, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        service.worker.send_signal(signal.SIGTERM)
        try:
            await _drains(service)
            assert service.worker.exit_status is None
            await gate.open()
            await anyio.to_thread.run_sync(wait_for, lambda: service.worker.exit_status is not None)
            assert service.worker.exit_status == 0
        finally:
            service.worker.stop()
            service.worker.start()
    assert (await service.finished(started["workflowId"]))["status"] == "completed"


async def _drains(service: Service) -> None:
    with anyio.fail_after(20):
        while "draining" not in service.worker.log_tail():
            await anyio.lowlevel.checkpoint()
