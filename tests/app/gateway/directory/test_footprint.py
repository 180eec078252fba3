"""Footprints: rows of every table, what a tenant has elsewhere, and their limits."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec

from app.database import MAX_FOOTPRINTS
from app.gateway.directory import footprint
from tests.activities.purge.rows import RowWriter
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import NOON, UNPOLLED_QUEUE, add_client, add_deletion, add_tenant, add_user
from tests.support.alga import catalog
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
EXTERNAL_NAMES = {
    "google_email_provider_config": {"pubsub_topic_name": "topic-a", "pubsub_subscription_name": "gmail-a"},
    "google_calendar_provider_config": {"pubsub_topic_name": "topic-b"},
    "microsoft_email_provider_config": {"webhook_subscription_id": "mail"},
    "teams_integrations": {"recordings_subscription_id": "films", "transcripts_subscription_id": "texts"},
    "tenant_extension_install": {"runner_domain": "ext.example"},
    "inbound_email_inbox": {"source_object_key": "a.eml"},
    "email_domains": {"domain_name": "acme.example"},
    "stripe_customers": {"stripe_customer_external_id": "cus_1"},
    "stripe_subscriptions": {"stripe_subscription_external_id": "sub_1"},
    "apple_iap_subscriptions": {"original_transaction_id": "1000"},
    "portal_domains": {"domain": "portal.acme.example"},
}
EXPECTED_NAMES = {
    "apple_subscriptions": ["1000"],
    "documents": [],
    "email_domains": ["acme.example"],
    "extension_domains": ["ext.example"],
    "google_pubsub_subscriptions": ["gmail-a"],
    "google_pubsub_topics": ["topic-a", "topic-b"],
    "inbound_mail_files": [],
    "microsoft_subscriptions": ["films", "mail", "texts"],
    "portal_domains": ["portal.acme.example"],
    "stripe_customers": ["cus_1"],
    "stripe_subscriptions": ["sub_1"],
}


async def write_everything(database: asyncpg.Connection, writer: RowWriter, tenant_id: UUID) -> None:
    """Write a row into every table, and what is outside the database."""
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(";\n".join(writer.rows_of(tenant_id)))
        for table, names in EXTERNAL_NAMES.items():
            owner = "tenant_id" if table == "tenant_extension_install" else "tenant"
            for column, name in names.items():
                await database.execute(
                    f"UPDATE {table} SET {column} = $1 WHERE {owner}::text = $2",  # noqa: S608 - named above
                    name,
                    str(tenant_id),
                )


@pytest.mark.parametrize("shaped_settings", ["plain"], indirect=True)
async def test_every_table_and_what_rows_name_elsewhere_is_shown(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    writer = RowWriter(catalog("plain"))
    tenant_id = uuid4()
    await write_everything(shaped_database, writer, tenant_id)
    await add_user(shaped_database, tenant_id)
    shown = (await shaped_http.get(f"/tenants/{tenant_id}/footprint")).raise_for_status().json()
    assert shown["tables"] == {**dict.fromkeys(sorted(writer.owned), 1), "users": 2}
    assert shown["rows"] == len(writer.owned) + 1
    external = {resource["kind"]: resource for resource in shown["external"]}
    assert {kind: resource["names"] for kind, resource in external.items()} == EXPECTED_NAMES
    assert {kind: resource["count"] for kind, resource in external.items()} == {
        kind: len(names) or 1 for kind, names in EXPECTED_NAMES.items()
    }
    assert all(resource["note"] for resource in external.values())


async def test_a_tenant_without_anything_elsewhere_has_only_rows(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    await add_client(database, tenant_id, "Acme")
    shown = (await http.get(f"/tenants/{tenant_id}/footprint")).raise_for_status().json()
    tables = {"clients": 1, "tenant_companies": 1, "tenants": 1}
    assert shown == {"tenantId": str(tenant_id), "tables": tables, "rows": 3, "external": []}


async def test_the_footprint_of_a_deleted_tenant_is_empty(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    await add_deletion(database, tenant_id, deleted_at=NOON)
    shown = (await http.get(f"/tenants/{tenant_id}/footprint")).raise_for_status().json()
    assert (shown["tables"], shown["rows"]) == ({}, 0)
    assert_problem(await http.get(f"/tenants/{uuid4()}/footprint"), 404, "tenant-not-found")


async def test_schedules_and_open_workflows_of_the_tenant_are_shown(
    http: httpx.AsyncClient, database: asyncpg.Connection, temporal_client: Client
) -> None:
    tenant_id = await add_tenant(database)
    workflow_id = f"sla-ticket-{tenant_id}-7"
    action = ScheduleActionStartWorkflow("genericJobWorkflow", {}, id="job", task_queue=UNPOLLED_QUEUE)
    schedule_id = f"recurring-expire-{tenant_id}"
    schedule = await temporal_client.create_schedule(schedule_id, Schedule(action=action, spec=ScheduleSpec()))
    workflow = await temporal_client.start_workflow("slaTicketWorkflow", id=workflow_id, task_queue=UNPOLLED_QUEUE)
    expected = {"temporal_schedules": [schedule_id], "temporal_workflows": [workflow_id]}

    async def are_listed() -> bool:
        # Temporal's lists are a moment late.
        shown = (await http.get(f"/tenants/{tenant_id}/footprint")).raise_for_status().json()
        return {resource["kind"]: resource["names"] for resource in shown["external"]} == expected

    try:
        await wait_until(are_listed, timeout=PATIENCE)
    finally:
        await schedule.delete()
        await workflow.terminate()


async def lock(database: asyncpg.Connection) -> None:
    await database.execute("BEGIN; LOCK TABLE tax_rates IN ACCESS EXCLUSIVE MODE")


async def test_a_count_that_takes_too_long_is_given_up(
    http: httpx.AsyncClient, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = await add_tenant(database)
    monkeypatch.setattr(footprint, "FOOTPRINT_TIMEOUT", 1.0)
    await lock(database)
    try:
        response = await http.get(f"/tenants/{tenant_id}/footprint")
    finally:
        await database.execute("ROLLBACK")
    assert_problem(response, 504, "footprint-timeout")
    assert "longer than 1 s" in response.json()["detail"]

    async def is_idle() -> bool:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tax_rates%'"
        return bool(await database.fetchval(waiting) == 0)

    await wait_until(is_idle, timeout=PATIENCE)
    assert (await http.get(f"/tenants/{tenant_id}/footprint")).status_code == 200


async def test_few_footprints_are_taken_at_once(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    path = f"/tenants/{tenant_id}/footprint"
    await lock(database)
    taken: list[asyncio.Task[httpx.Response]] = []

    async def all_wait() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'tax_rates'::regclass AND NOT granted"
        return bool(await database.fetchval(waiting) == MAX_FOOTPRINTS)

    try:
        taken += [asyncio.create_task(http.get(path)) for _ in range(MAX_FOOTPRINTS)]
        await wait_until(all_wait, timeout=PATIENCE)
        refused = await http.get(path)
        assert (await http.get(f"/tenants/{tenant_id}/status")).status_code == 404, "others have their connections"
    finally:
        await database.execute("ROLLBACK")
        responses = await asyncio.gather(*taken)
    assert_problem(refused, 503, "overloaded")
    assert refused.headers["Retry-After"] == "5"
    assert [response.status_code for response in responses] == [200] * MAX_FOOTPRINTS
