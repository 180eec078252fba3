"""Concurrent writers make one chain, with exactly the events of committed transactions."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import AuditEvent
from activities.operations.activities import OperationActivities
from activities.tenants.provisioning import ProvisioningActivities
from app.auth.callers import operator
from app.gateway.audit.listing import AuditListing, EventFilter
from tests.activities.audit.audited import (
    append,
    append_at_once,
    append_in_process,
    append_with_commit,
    event,
    verified,
)
from tests.activities.conftest import POLICY, closing_input, context, provision_input
from tests.support.audit import AUDIT
from workflows.operations.messages import Origin, ParameterChangeInput
from workflows.operations.texts import MAX_SENTENCE_LENGTH
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio

OF_OPERATION = "SELECT action FROM alga_tenants.audit_events WHERE workflow_id = $1 ORDER BY sequence"


async def numbers(database: asyncpg.Connection) -> list[int]:
    rows = await database.fetch("SELECT (details->>'number')::int FROM alga_tenants.audit_events ORDER BY sequence")
    return [row[0] for row in rows]


async def test_an_unused_trail_is_intact(audit_engine: AsyncEngine) -> None:
    report = await verified(audit_engine)
    assert (report.is_intact, report.is_complete, report.checked, report.sequence) == (True, True, 0, 0)


async def test_concurrent_connections_and_processes_make_one_chain(
    audit_url: str, audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    other = multiprocessing.get_context("spawn").Process(target=append_in_process, args=(audit_url, 4, 10, 1000))
    other.start()
    await append_at_once(audit_url, writers=10, each=10)
    await asyncio.to_thread(other.join)
    assert other.exitcode == 0
    report = await verified(audit_engine)
    assert report.breaks == ()
    assert report.checked == report.sequence == 140
    expected = [*range(100), *range(1000, 1040)]
    assert sorted(await numbers(audit_database)) == expected


async def test_a_long_trail_is_verified_batch_by_batch(audit_engine: AsyncEngine) -> None:
    async with audit_engine.begin() as connection:
        await AUDIT.append(connection, *map(event, range(2500)))
    report = await verified(audit_engine)
    assert (report.breaks, report.checked, report.sequence) == ((), 2500, 2500)


async def test_events_that_are_appended_during_a_verification_are_not_breaks(
    audit_url: str, audit_engine: AsyncEngine
) -> None:
    writing = asyncio.create_task(append_at_once(audit_url, writers=3, each=20))
    while not writing.done():
        assert (await verified(audit_engine)).breaks == ()
    await writing


async def test_an_event_is_rolled_back_with_its_transaction(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    await append(audit_engine, event(1))
    async with audit_engine.connect() as connection:
        await AUDIT.append(connection, event(2))
        await connection.rollback()
    await append(audit_engine, event(3))
    assert await numbers(audit_database) == [1, 3]
    assert (await verified(audit_engine)).breaks == ()


async def test_one_event_is_never_two_rows(audit_engine: AsyncEngine) -> None:
    once = event()
    await append(audit_engine, once)
    with pytest.raises(IntegrityError):
        await append(audit_engine, once)
    async with audit_engine.connect() as connection:
        other = event(1)
        assert await AUDIT.unrecorded(connection, [once, other]) == [other]
    assert (await verified(audit_engine)).checked == 1


@pytest.mark.parametrize("way", [append, append_with_commit])
async def test_events_are_read_as_they_were_written(
    audit_engine: AsyncEngine, way: Callable[..., Awaitable[None]]
) -> None:
    abroad = datetime(2026, 3, 29, 3, 30, 0, 120, timezone(timedelta(hours=5, minutes=45)))
    odd = [
        event(1, caller="NUL \0 here", path="half a pair \ud800"),
        event(5, caller="it's $1 :x %s \\ '); COMMIT; --"),
        event(2, reason="x" * 5000, occurred_at=abroad),
        event(3, details={"big": 2**70, "text": 'a\\u0000b "quoted"', "empty": [], "none": None}),
        AuditEvent(action=event().action, outcome=event().outcome, caller="only what is needed"),
    ]
    await way(audit_engine, *odd)
    assert (await verified(audit_engine)).breaks == ()
    page = await AuditListing(audit_engine).page(operator().caller, EventFilter(), size=10, token=None)
    found = page.events
    assert [record.id for record in found] == [one.id for one in reversed(odd)]
    assert [record.details for record in found] == [one.details for one in reversed(odd)]
    assert found[2].occurred_at == abroad
    assert len(found[2].reason or "") == MAX_SENTENCE_LENGTH


def test_floats_in_details_are_rejected() -> None:
    with pytest.raises(TypeError, match="float"):
        event(details={"seconds": 0.1})


async def test_a_provisioning_that_is_repeated_after_its_commit_is_recorded_once(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    given = provision_input(tenant_request)
    for _ in range(2):
        await provisioning.provision_tenant(given)
    found = await database.fetch(OF_OPERATION, given.operation.workflow_id)
    assert [row["action"] for row in found] == ["tenant.create"]


async def test_an_operation_that_ends_without_a_commit_is_recorded_once(
    closing: OperationActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    given = closing_input(tenant_request)
    for _ in range(2):
        await closing.close_operation(given)
    found = await database.fetch(OF_OPERATION, given.operation.workflow_id)
    assert [row["action"] for row in found] == ["tenant.create"]


async def test_a_repeated_change_is_recorded_once_and_other_values_separately(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    changes = OperationActivities(engine, AUDIT, POLICY)
    for digest, request_id in (("five", "first"), ("five", "first"), ("six", "second"), ("six", "second")):
        await changes.accept_parameter_changes(
            ParameterChangeInput(
                operation=context(tenant_id),
                changed=("licenseCount",),
                digest=digest,
                origin=Origin(request_id=request_id),
            )
        )
    found = await database.fetch(
        "SELECT action, request_id, details FROM alga_tenants.audit_events WHERE workflow_id = $1 ORDER BY sequence",
        f"tenant-creation-{tenant_id}",
    )
    assert [(row["action"], row["request_id"]) for row in found] == [
        ("tenant.create", None),
        ("operation.change", "first"),
        ("operation.change", "second"),
    ]


async def test_a_provisioning_appends_its_event_with_the_commit(
    provisioning: ProvisioningActivities,
    statements: list[tuple[str, object]],
    tenant_request: TenantCreationInput,
) -> None:
    await provisioning.provision_tenant(provision_input(tenant_request))
    locks = [number for number, (statement, _) in enumerate(statements) if "audit_head" in statement]
    # The operation's row is written between the lock of the trail and the event.
    assert locks == [len(statements) - 3, len(statements) - 1]
