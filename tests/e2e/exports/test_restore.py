"""A tenant that was exported and deleted is restored over HTTP, with the keys that Alga's tables have on Citus."""

import pytest

from tests.e2e.conftest import Service
from tests.e2e.deletions.test_deletion import delete

# Other tests of restores run on the keys of plain PostgreSQL.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("running", ["citus"], indirect=True)]


async def test_a_deleted_tenant_is_restored_from_the_export_of_its_deletion(service: Service) -> None:
    created = await service.provision()
    tenant_id = created["tenantId"]
    before = (await service.http.get(f"/tenants/{tenant_id}")).json()
    deletion = await delete(service, tenant_id, export=True, gracePeriodDays=0, confirm=True)
    ended = await service.finished(deletion["workflowId"])
    assert ended["status"] == "completed", ended
    [export] = (await service.http.get(f"/tenants/{tenant_id}/exports")).json()["exports"]
    trial = await service.http.post("/restores", json={"exportId": export["exportId"], "dryRun": True})
    assert trial.status_code == 202, trial.text
    previewed = (await service.finished(trial.json()["workflowId"]))["result"]
    assert (previewed["refusals"], previewed["drawnAnew"]) == ([], [])
    assert (previewed["tables"]["users"], previewed["rows"]) == (1, sum(previewed["tables"].values()))
    restored = await service.http.post("/restores", json={"exportId": export["exportId"]})
    assert restored.status_code == 202, restored.text
    operation = await service.finished(restored.json()["workflowId"])
    assert operation["status"] == "completed", operation
    assert operation["result"]["rowsRestored"] == previewed["rows"]
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["state"], tenant["name"]) == ("suspended", before["name"])
    reactivated = await service.http.delete(f"/tenants/{tenant_id}/suspension")
    assert reactivated.status_code == 200, reactivated.text
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["state"], tenant["userCount"]) == ("active", before["userCount"])
    again = await service.http.post("/restores", json={"exportId": export["exportId"]})
    assert (again.status_code, again.json()["code"]) == (409, "tenant-exists")
    await delete(service, tenant_id)
