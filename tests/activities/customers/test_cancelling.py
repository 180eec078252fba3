"""A deletion marks the tenant's customer as cancelled; an undo puts back exactly what was changed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.customers.activities import CustomerActivities
from activities.customers.cancelling import CUSTOMER_NOT_FOUND, reinstate_customer
from activities.customers.lookup import AMBIGUOUS_CUSTOMER
from activities.customers.product import change_customer_product
from activities.deletions.activities import DeletionActivities
from activities.operations.activities import OperationActivities
from tests.activities.conftest import POLICY, RUN
from tests.activities.customers.conftest import Creation
from tests.support.audit import AUDIT
from tests.support.tenants.rows import fingerprints
from workflows.operations.kinds import initial_snapshot
from workflows.operations.messages import (
    Cancellation,
    ClosingInput,
    OperationContext,
    OperationInput,
)
from workflows.operations.statuses import OperationStatus
from workflows.tenants.deletions.messages import DeletionInput, DeletionRequest
from workflows.tenants.steps import DELETION

pytestmark = pytest.mark.anyio

LOSE = "UPDATE clients SET properties = '{}' WHERE client_id = $1"
DOUBLE = (
    "INSERT INTO clients (tenant, client_name, properties)"
    " SELECT tenant, 'Twin', properties FROM clients WHERE client_id = $1"
)
# Contacts and portal users of a customer, beside the contact that tracking has made: name and `is_inactive`.
PEOPLE: dict[str, bool | None] = {"active": False, "unset": None, "left": True}


@pytest.fixture
def deletions(engine: AsyncEngine, management: UUID) -> DeletionActivities:
    return DeletionActivities(engine, AUDIT, management, can_export=False)


@pytest.fixture
def tracked(engine: AsyncEngine, tracking: CustomerActivities, created: Creation) -> Callable[[], Any]:
    """Track the customer of a new tenant, complete the creation, and return ids of tenant and client."""

    async def track() -> tuple[UUID, UUID]:
        given = await created(tenantName=f"Bravo {uuid4().hex}")
        done = await tracking.track_customer(given)
        snapshot = given.operation.snapshot.model_copy(update={"result": done.result})
        completing = OperationInput(operation=given.operation.showing(snapshot))
        await OperationActivities(engine, AUDIT, POLICY).complete_operation(completing)
        return given.operation.tenant_id, UUID(done.result["customerClientId"])

    return track


def deleting(tenant_id: UUID) -> DeletionInput:
    snapshot = initial_snapshot(DELETION).model_copy(update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)})
    operation = OperationContext(workflow_id=DELETION.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)
    request = DeletionRequest(tenant_id=tenant_id, reason="unpaid", grace_period_days=30, export=False)
    return DeletionInput(operation=operation, request=request)


def undoing(given: DeletionInput) -> ClosingInput:
    ended = given.operation.snapshot.model_copy(update={"status": OperationStatus.CANCELLED})
    return ClosingInput(operation=given.operation.showing(ended), cancellation=Cancellation(reason="paid"))


async def add_people(database: asyncpg.Connection, management: UUID, client_id: UUID | None) -> None:
    """Add contacts in each state, each with portal users in each state and a user of the management tenant."""
    for state, is_inactive in PEOPLE.items():
        contact = await database.fetchval(
            "INSERT INTO contacts (tenant, full_name, email, client_id, is_inactive) VALUES ($1, $2, $3, $4, $5)"
            " RETURNING contact_name_id",
            management,
            state,
            f"{state}-{uuid4().hex}@bravo.example",
            client_id,
            is_inactive,
        )
        for user_type, inactive in (("client", False), ("client", None), ("client", True), ("internal", False)):
            await database.execute(
                "INSERT INTO users"
                " (tenant, user_id, email, username, hashed_password, user_type, contact_id, is_inactive)"
                " VALUES ($1, $2, $3, $3, 'x', $4, $5, $6)",
                management,
                uuid4(),
                uuid4().hex,
                user_type,
                contact,
                inactive,
            )


async def active(database: asyncpg.Connection, management: UUID, client_id: UUID) -> dict[str, int]:
    """Return how many of the customer's rows are active, by table."""
    query = """
        SELECT 'clients', count(*) FROM clients WHERE tenant = $1 AND client_id = $2 AND is_inactive IS NOT TRUE
        UNION ALL SELECT 'contacts', count(*) FROM contacts
            WHERE tenant = $1 AND client_id = $2 AND is_inactive IS NOT TRUE
        UNION ALL SELECT user_type, count(*) FROM users u JOIN contacts c ON c.contact_name_id = u.contact_id
            WHERE u.tenant = $1 AND c.client_id = $2 AND u.is_inactive IS NOT TRUE GROUP BY user_type
    """
    return {name: number for name, number in await database.fetch(query, management, client_id) if number}


async def tags(database: asyncpg.Connection, management: UUID, client_id: UUID) -> set[str]:
    query = (
        "SELECT tag_text FROM tag_mappings m JOIN tag_definitions d USING (tenant, tag_id)"
        " WHERE m.tenant = $1 AND m.tagged_id = $2"
    )
    return {row[0] for row in await database.fetch(query, management, client_id)}


async def test_a_deletion_marks_the_customer_and_an_undo_puts_back_every_row(
    deletions: DeletionActivities, tracked: Callable[[], Any], database: asyncpg.Connection, management: UUID
) -> None:
    (tenant_id, client_id), (_, other) = await tracked(), await tracked()
    for owner in (client_id, other, None):
        await add_people(database, management, owner)
    before, everyone = await fingerprints(database), await active(database, management, other)
    given = deleting(tenant_id)
    # The second run is that of a worker that has lost the result of the first.
    for _ in range(2):
        assert (await deletions.begin_deletion(given)).warnings == ()
    assert await active(database, management, client_id) == {"internal": 3}
    assert await tags(database, management, client_id) == {"PSA Customer", "Canceled"}
    assert await active(database, management, other) == everyone
    assert await tags(database, management, other) == {"PSA Customer"}
    await deletions.undo_deletion(undoing(given))
    after = await fingerprints(database)
    # The definition of the tag stays, as Alga keeps it, and the record of the deletion.
    assert {table for table, rows in after.items() if rows != before[table]} <= {
        "tag_definitions", "pending_tenant_deletions",
    }  # fmt: skip


async def test_what_was_changed_since_is_left_alone(
    deletions: DeletionActivities, tracked: Callable[[], Any], database: asyncpg.Connection, management: UUID
) -> None:
    tenant_id, client_id = await tracked()
    await add_people(database, management, client_id)
    given = deleting(tenant_id)
    await deletions.begin_deletion(given)
    await database.execute(
        "UPDATE contacts SET is_inactive = NULL WHERE tenant = $1 AND full_name = 'active'", management
    )
    await database.execute("DELETE FROM tag_mappings WHERE tenant = $1 AND tagged_id = $2", management, client_id)
    await deletions.undo_deletion(undoing(given))
    states = await database.fetch(
        "SELECT full_name, is_inactive FROM contacts WHERE tenant = $1 AND client_id = $2", management, client_id
    )
    assert {row["full_name"]: row["is_inactive"] for row in states} == {
        "Ada Byron": False, "active": None, "unset": None, "left": True,
    }  # fmt: skip
    assert await tags(database, management, client_id) == set()


async def test_a_tenant_that_was_never_tracked_is_deleted_without_a_warning(
    deletions: DeletionActivities,
    created: Creation,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    management: UUID,
) -> None:
    given = await created(tenantName="Bravo")
    await OperationActivities(engine, AUDIT, POLICY).complete_operation(OperationInput(operation=given.operation))
    # A name does not identify a person.
    await database.execute("INSERT INTO clients (tenant, client_name) VALUES ($1, 'Bravo')", management)
    assert (await deletions.begin_deletion(deleting(given.operation.tenant_id))).warnings == ()
    assert await database.fetchval("SELECT is_inactive FROM clients WHERE tenant = $1", management) is False


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (LOSE, CUSTOMER_NOT_FOUND),
        (DOUBLE, AMBIGUOUS_CUSTOMER),
    ],
    ids=["lost", "two"],
)
async def test_a_customer_that_is_not_found_for_sure_is_a_warning_and_stays_as_it_is(
    deletions: DeletionActivities, tracked: Callable[[], Any], database: asyncpg.Connection, change: str, code: str
) -> None:
    tenant_id, client_id = await tracked()
    await database.execute(change, client_id)
    given = deleting(tenant_id)
    for _ in range(2):
        [warning] = (await deletions.begin_deletion(given)).warnings
        assert (warning.code, str(client_id) in warning.detail) == (code, True)
    assert await database.fetchval("SELECT is_inactive FROM clients WHERE client_id = $1", client_id) is False
    await deletions.undo_deletion(undoing(given))


async def test_a_change_of_the_product_changes_the_tag(
    engine: AsyncEngine, tracked: Callable[[], Any], database: asyncpg.Connection, management: UUID
) -> None:
    (tenant_id, client_id), (_, other) = await tracked(), await tracked()
    for _ in range(2):
        async with engine.begin() as connection:
            change = change_customer_product(connection, tenant_id, management, before="psa", after="algadesk")
            assert await change == []
    assert await tags(database, management, client_id) == {"AlgaDesk Customer"}
    assert await tags(database, management, other) == {"PSA Customer"}
    query = "SELECT properties->>'subscription_type', properties->>'tenant_id' FROM clients WHERE client_id = $1"
    assert tuple(await database.fetchrow(query, client_id)) == ("algadesk", str(tenant_id))


async def test_a_customer_without_a_cancellation_is_not_reinstated(
    engine: AsyncEngine, tracked: Callable[[], Any], database: asyncpg.Connection, management: UUID
) -> None:
    tenant_id, _ = await tracked()
    await database.execute("UPDATE clients SET is_inactive = true WHERE tenant = $1", management)
    async with engine.begin() as connection:
        await reinstate_customer(connection, tenant_id)
    assert await database.fetchval("SELECT is_inactive FROM clients WHERE tenant = $1", management) is True
