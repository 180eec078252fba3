"""Confirming and undoing deletions: the row decides, and two persons may be required."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.deletions.conftest import begin, request
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import NOON, add_deletion, add_tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys, open_keys

pytestmark = pytest.mark.anyio


@pytest.fixture
async def keys(settings: Settings) -> AsyncIterator[Keys]:
    async with open_keys(settings) as keys:
        yield keys


async def test_a_confirmation_schedules_the_purge_once(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    operation = await request(http, tenant_id, gracePeriodDays=2)
    path = f"/tenants/{tenant_id}/deletion"
    assert_problem(await http.post(f"{path}/confirm"), 409, "deletion-not-begun")
    await begin(database, operation)
    confirmed = await http.post(f"{path}/confirm", json={})
    assert (confirmed.status_code, confirmed.json()["workflowId"]) == (202, operation["workflowId"])
    shown = (await http.get(path)).json()
    assert (shown["confirmedBy"], shown["links"]["confirm"]) == (operation["requestedBy"], None)
    assert shown["scheduledFor"] > shown["confirmedAt"]
    assert (await http.post(f"{path}/confirm")).status_code == 202
    again = (await http.get(path)).json()
    assert again["scheduledFor"] == shown["scheduledFor"]
    events = await database.fetchval(
        "SELECT count(*) FROM alga_tenants.audit_events"
        " WHERE workflow_id = $1 AND action = 'tenant.confirm_deletion'",
        operation["workflowId"],
    )
    assert events == 1


async def test_a_deletion_that_is_being_undone_is_not_confirmed(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    await begin(database, await request(http, tenant_id))
    path = f"/tenants/{tenant_id}/deletion"
    undone = await http.post(f"{path}/undo", json={"reason": "contract renewed"})
    assert (undone.status_code, undone.json()["cancelReason"]) == (202, "contract renewed")
    assert_problem(await http.post(f"{path}/confirm"), 409, "operation-stopping")
    assert (await http.post(f"{path}/undo")).status_code == 202
    shown = (await http.get(path)).json()
    assert (shown["confirmedAt"], shown["links"]["confirm"], shown["links"]["undo"]) == (None, None, None)


@pytest.mark.parametrize(("ended", "detail"), [("deleted_at", "is deleted"), ("undone_at", "was undone")])
async def test_an_ended_deletion_is_neither_confirmed_nor_undone(
    http: httpx.AsyncClient, database: asyncpg.Connection, ended: str, detail: str
) -> None:
    tenant_id = await add_tenant(database)
    await add_deletion(database, tenant_id, None, **{ended: NOON})
    for action in ("confirm", "undo"):
        response = await http.post(f"/tenants/{tenant_id}/deletion/{action}")
        assert_problem(response, 409, "deletion-ended")
        assert detail in response.json()["detail"]


async def test_a_second_person_with_a_second_key_confirms(
    two_person_gateway: RunningGateway, database: asyncpg.Connection, keys: Keys
) -> None:
    tenant_id = await add_tenant(database)
    path = f"/tenants/{tenant_id}/deletion"
    first, second = [(await keys.create()).key for _ in range(2)]

    def acting(key: str, person: str | None = None) -> httpx.AsyncClient:
        delegation = {"X-On-Behalf-Of": person} if person is not None else {}
        return two_person_gateway.client(**{"X-API-Key": key, **delegation})

    async with acting(first, "Ada Byron") as ada:
        at_once = {"reason": "contract ended", "export": False, "confirm": True}
        refused = await ada.post(path, json=at_once)
        assert_problem(refused, 403, "second-person-required")
        assert refused.json()["errors"][0]["field"] == "confirm"
        await begin(database, await request(ada, tenant_id))
        assert (await ada.get(path)).json()["needsSecondPerson"] is True
    for key, person in ((first, "Ada Byron"), (first, None), (first, "Grace"), (second, "ada byron")):
        async with acting(key, person) as same:
            assert_problem(await same.post(f"{path}/confirm"), 403, "second-person-required")
    async with acting(second, "Grace") as grace:
        assert (await grace.post(f"{path}/confirm")).status_code == 202
        shown = (await grace.get(path)).json()
    assert (shown["confirmedBy"], shown["needsSecondPerson"]) == ("Grace", False)
