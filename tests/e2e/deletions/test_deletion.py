"""Deletions of tenants on all of Alga's tables, over HTTP."""

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.service import RPCError
from typer.testing import CliRunner

from app.cli import app
from tests.e2e.conftest import PATIENCE, Service
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


async def delete(service: Service, tenant_id: str, **changes: Any) -> dict[str, Any]:
    body = {"reason": "contract ended", "export": False, **changes}
    response = await service.http.post(f"/tenants/{tenant_id}/deletion", json=body)
    assert response.status_code == 202, response.text
    document: dict[str, Any] = response.json()
    return document


async def read(service: Service, path: str) -> dict[str, Any]:
    document: dict[str, Any] = (await service.http.get(f"/tenants/{path}")).raise_for_status().json()
    return document


async def test_a_confirmed_deletion_leaves_nothing_but_an_export_and_a_certificate(
    service: Service, tmp_path: Path
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    footprint = await read(service, f"{tenant_id}/footprint")
    temporal = await Client.connect(service.environment["TEMPORAL_ADDRESS"])
    action = ScheduleActionStartWorkflow("any", id="any", task_queue="nobody-polls")
    schedule_id = f"recurring-expire-{tenant_id}"
    schedule = await temporal.create_schedule(schedule_id, Schedule(action=action, spec=ScheduleSpec()))

    async def is_listed() -> bool:
        return schedule_id in {listed.id async for listed in await temporal.list_schedules()}

    await wait_until(is_listed, timeout=PATIENCE)
    operation = await delete(service, tenant_id, export=True, gracePeriodDays=0)
    shown = await service.shown(operation["workflowId"], "awaiting_confirmation", "failed", "needs_attention")
    assert shown["status"] == "awaiting_confirmation", shown
    assert [step["status"] for step in shown["steps"][:3]] == ["completed", "completed", "running"], shown
    assert (await read(service, tenant_id))["state"] == "deletion_scheduled"
    confirmed = await service.http.post(f"/tenants/{tenant_id}/deletion/confirm", json={})
    assert confirmed.status_code == 202, confirmed.text
    ended = await service.shown(operation["workflowId"], "completed", "failed", "needs_attention", "cancelled")
    assert ended["status"] == "completed", ended
    certificate = await service.http.get(f"/tenants/{tenant_id}/deletion/certificate")
    assert certificate.status_code == 200, certificate.text
    assert certificate.json()["rowsRemaining"] == 0
    assert certificate.json()["exportId"] is not None
    removed = certificate.json()["rowsRemoved"]
    assert footprint["tables"].items() <= removed.items()
    assert schedule_id in [name for kind in certificate.json()["externalResources"] for name in kind["names"]]
    with pytest.raises(RPCError):
        await schedule.describe()
    deleted = await read(service, tenant_id)
    assert (deleted["state"], deleted["name"], deleted["email"]) == ("deleted", shown["tenantName"], None)
    assert (await read(service, f"{tenant_id}/footprint"))["tables"] == {}
    file = tmp_path / "certificate.json"
    file.write_text(certificate.text)
    verify = partial(CliRunner(env=service.environment).invoke, app, ["certificate", "verify", "--file", str(file)])
    verified = await anyio.to_thread.run_sync(verify)
    assert verified.exit_code == 0, verified.stderr
    assert verified.stdout.startswith(f"verified: tenant {tenant_id} was deleted by")


async def test_an_undone_deletion_leaves_a_working_tenant(service: Service) -> None:
    tenant_id = (await service.provision())["tenantId"]
    operation = await delete(service, tenant_id)
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["userCount"] == 0
    undone = await service.http.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "paid"})
    assert undone.status_code == 202, undone.text
    ended = await service.finished(operation["workflowId"])
    assert ended["status"] == "cancelled", ended
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["userCount"], tenant["state"]) == (1, "active")
