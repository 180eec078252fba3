"""The customer that a creation makes in the management tenant, in both shapes of Alga's tables."""

from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.customers.activities import NOT_CONFIGURED, CustomerActivities
from activities.customers.lookup import AMBIGUOUS_CUSTOMER, DELETED_TENANTS_CUSTOMER, NO_SUCH_MANAGEMENT_TENANT
from activities.customers.tracking import CONTACT_TAKEN, NAME_TAKEN
from activities.operations.follow_ups import NOT_COMMITTED
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.customers.conftest import Creation
from tests.support.tenants.rows import row_counts
from workflows.operations.messages import FollowUpInput, StepDone

pytestmark = pytest.mark.anyio

CUSTOMER_TABLES = {"clients": 1, "contacts": 1, "client_billing_profiles": 1, "tag_definitions": 1, "tag_mappings": 1}

TAGS = {"psa": "PSA Customer", "algadesk": "AlgaDesk Customer"}


async def written(database: asyncpg.Connection, management: UUID) -> dict[str, int]:
    """Return the management tenant's rows by table, without its own."""
    counts = await row_counts(database, management)
    return {table: number for table, number in counts.items() if table != "tenants"}


async def one(database: asyncpg.Connection, table: str, tenant_id: UUID) -> dict[str, Any]:
    [row] = await database.fetch(f"SELECT * FROM {table} WHERE tenant = $1", tenant_id)  # noqa: S608 - ours
    return dict(row)


async def add_client(database: asyncpg.Connection, management: UUID, name: str, properties: str = "{}") -> UUID:
    query = "INSERT INTO clients (tenant, client_name, properties) VALUES ($1, $2, $3) RETURNING client_id"
    client_id: UUID = await database.fetchval(query, management, name, properties)
    return client_id


async def add_contact(database: asyncpg.Connection, management: UUID, email: str, client_id: UUID | None) -> UUID:
    query = (
        "INSERT INTO contacts (tenant, full_name, email, client_id) VALUES ($1, 'Eve', $2, $3)"
        " RETURNING contact_name_id"
    )
    contact_id: UUID = await database.fetchval(query, management, email, client_id)
    return contact_id


async def refusal(tracking: CustomerActivities, given: FollowUpInput) -> ApplicationError:
    with pytest.raises(ApplicationError) as refused:
        await tracking.track_customer(given)
    return refused.value


@pytest.mark.parametrize("product", TAGS)
async def test_the_tenant_becomes_a_client_with_a_contact_and_the_tag_of_its_product(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID, product: str
) -> None:
    given = await created(tenantName="Bravo", companyName="Bravo Ltd", productCode=product)
    tenant_id, email = given.operation.tenant_id, f"ada-{given.operation.tenant_id}@acme.example"
    done = await tracking.track_customer(given)
    assert await written(database, management) == CUSTOMER_TABLES
    client, contact = await one(database, "clients", management), await one(database, "contacts", management)
    assert (client["client_name"], client["client_type"], client["is_inactive"]) == ("Bravo", "company", False)
    properties = (
        "SELECT properties->>'tenant_id', properties->'onboarding_association' FROM clients WHERE tenant = $1"
    )
    found, association = await database.fetchrow(properties, management)
    assert found == str(tenant_id)
    assert f'"tenant_uuid": "{tenant_id}"' in association
    assert f'"admin_email": "{email}"' in association
    assert (contact["full_name"], contact["email"], contact["role"]) == ("Ada Byron", email, "Admin")
    assert contact["client_id"] == client["client_id"]
    profile = await one(database, "client_billing_profiles", management)
    assert (profile["client_id"], profile["is_default"], profile["is_active"]) == (client["client_id"], True, True)
    definition, mapping = (
        await one(database, "tag_definitions", management),
        await one(database, "tag_mappings", management),
    )
    assert (definition["tag_text"], definition["tagged_type"]) == (TAGS[product], "client")
    assert (mapping["tag_id"], mapping["tagged_id"], mapping["tagged_type"]) == (
        definition["tag_id"],
        client["client_id"],
        "client",
    )
    assert done.warnings == ()
    assert done.result["customerClientId"] == str(client["client_id"])
    assert done.result["customerContactId"] == str(contact["contact_name_id"])
    assert (await row_counts(database, tenant_id))["clients"] == 1


async def test_repeated_and_simultaneous_attempts_make_one_customer(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given, results = await created(), list[StepDone]()

    async def attempt() -> None:
        results.append(await tracking.track_customer(given))

    async with anyio.create_task_group() as workers:
        for _ in range(3):
            workers.start_soon(attempt)
    await attempt()
    assert await written(database, management) == CUSTOMER_TABLES
    assert len({(done.result["customerClientId"], done.result["customerContactId"]) for done in results}) == 1


async def test_customers_share_the_definition_of_a_tag_which_alga_may_have_made(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    await database.execute(
        "INSERT INTO tag_definitions (tenant, tag_text, tagged_type) VALUES ($1, 'PSA Customer', 'client')",
        management,
    )
    for name in ("Bravo", "Charlie"):
        await tracking.track_customer(await created(tenantName=name))
    expected = {"clients": 2, "contacts": 2, "client_billing_profiles": 2, "tag_definitions": 1, "tag_mappings": 2}
    assert await written(database, management) == expected


async def test_a_stranger_with_the_same_name_is_never_touched(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    stranger = await add_client(database, management, "Harbour")
    await add_contact(database, management, "eve@harbour.example", stranger)
    before = [await one(database, table, management) for table in ("clients", "contacts")]
    given = await created(tenantName="Harbour")
    error = await refusal(tracking, given)
    assert (error.type, error.non_retryable) == (NAME_TAKEN, True)
    assert str(stranger) in error.message
    assert str(given.operation.tenant_id) in error.message
    assert await written(database, management) == {"clients": 1, "contacts": 1}
    assert [await one(database, table, management) for table in ("clients", "contacts")] == before
    # As the message says, the client can be given this tenant's id, or another name.
    await database.execute("UPDATE clients SET client_name = 'Harbour Ltd' WHERE client_id = $1", stranger)
    done = await tracking.track_customer(given)
    assert done.result["customerClientId"] != str(stranger)


@pytest.mark.parametrize("has_client", [True, False])
async def test_a_contact_of_others_with_the_same_email_is_never_touched(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID, has_client: bool
) -> None:
    given = await created(tenantName="Bravo")
    email = f"Ada-{given.operation.tenant_id}@Acme.example"
    stranger = await add_client(database, management, "Stranger")
    contact = await add_contact(database, management, email, stranger if has_client else None)
    before = await one(database, "contacts", management)
    done = await tracking.track_customer(given)
    [warning] = done.warnings
    assert warning.code == CONTACT_TAKEN
    assert str(contact) in warning.detail
    assert email.lower() not in warning.detail
    assert "customerContactId" not in done.result
    assert done.result["customerTracking"]["contactError"] == warning.detail
    assert await one(database, "contacts", management) == before
    # As the warning says, the contact can be moved.
    await database.execute(
        "UPDATE contacts SET client_id = $1 WHERE contact_name_id = $2",
        UUID(done.result["customerClientId"]),
        contact,
    )
    again = await tracking.track_customer(given)
    assert (again.warnings, again.result["customerContactId"]) == ((), str(contact))


async def test_an_additional_address_counts_as_well(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given = await created()
    stranger = await add_contact(database, management, "eve@harbour.example", None)
    await database.execute(
        "INSERT INTO contact_additional_email_addresses (tenant, contact_name_id, email_address, canonical_type)"
        " VALUES ($1, $2, $3, 'work')",
        management,
        stranger,
        f"ADA-{given.operation.tenant_id}@acme.example",
    )
    [warning] = (await tracking.track_customer(given)).warnings
    assert (warning.code, str(stranger) in warning.detail) == (CONTACT_TAKEN, True)


async def test_a_client_that_alga_has_made_for_the_tenant_is_used(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given = await created(tenantName="Bravo")
    association = f'{{"onboarding_association": {{"tenant_uuid": "{given.operation.tenant_id}"}}}}'
    client_id = await add_client(database, management, "Bravo Industries", association)
    done = await tracking.track_customer(given)
    assert done.result["customerClientId"] == str(client_id)
    assert (await one(database, "clients", management))["client_name"] == "Bravo Industries"


async def test_a_name_that_looks_like_a_tenants_id_identifies_nothing(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given = await created(tenantName="Bravo")
    name = str(given.operation.tenant_id)
    # An older Alga writes the name that a customer has chosen there.
    stranger = await add_client(database, management, name, f'{{"tenant_id": "{name}"}}')
    done = await tracking.track_customer(given)
    assert done.result["customerClientId"] != str(stranger)


async def test_two_clients_with_the_tenants_id_are_an_error_that_names_both(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given = await created()
    properties = f'{{"tenant_id": "{given.operation.tenant_id}"}}'
    found = [await add_client(database, management, name, properties) for name in ("One", "Two")]
    error = await refusal(tracking, given)
    assert error.type == AMBIGUOUS_CUSTOMER
    assert all(str(client_id) in error.message for client_id in found)
    assert await written(database, management) == {"clients": 2}


@ON_ONE_SHAPE
async def test_the_id_of_a_deleted_tenant_does_not_lead_to_its_customer(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given = await created()
    properties = f'{{"onboarding_association": {{"tenant_uuid": "{given.operation.tenant_id}"}}}}'
    await add_client(database, management, "Deleted", properties)
    await database.execute(
        "INSERT INTO alga_tenants.deletions"
        " (workflow_id, run_id, deletion_id, tenant_id, grace_period_days, deleted_at)"
        " VALUES ($1, 'run', $2, $3, 30, now())",
        f"tenant-deletion-{uuid4()}",
        uuid4(),
        given.operation.tenant_id,
    )
    assert (await refusal(tracking, given)).type == DELETED_TENANTS_CUSTOMER
    assert await written(database, management) == {"clients": 1}


@ON_ONE_SHAPE
async def test_a_wrong_or_missing_setting_is_named(engine: AsyncEngine, created: Creation) -> None:
    given = await created()
    wrong, missing = CustomerActivities(engine, uuid4()), CustomerActivities(engine, None)
    for tracking, code in ((wrong, NO_SUCH_MANAGEMENT_TENANT), (missing, NOT_CONFIGURED)):
        error = await refusal(tracking, given)
        assert (error.type, error.non_retryable) == (code, True)
        assert "MASTER_BILLING_TENANT_ID" in error.message


@ON_ONE_SHAPE
async def test_what_the_input_says_does_not_count(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    given, other = await created(tenantName="Bravo"), await created(tenantName="Charlie")
    snapshot = given.operation.snapshot.model_copy(
        update={"tenant_id": other.operation.tenant_id, "tenant_name": "Evil", "parameters": {"portalUser": True}}
    )
    await tracking.track_customer(
        FollowUpInput(operation=given.operation.showing(snapshot), request={"tenantName": "Evil"})
    )
    names = await database.fetch("SELECT client_name FROM clients WHERE tenant = $1", management)
    assert [row[0] for row in names] == ["Bravo"]


@ON_ONE_SHAPE
@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM alga_tenants.operations WHERE workflow_id = $1",
        "UPDATE alga_tenants.operations SET committed_at = NULL WHERE workflow_id = $1",
        "UPDATE alga_tenants.operations SET finished_at = now() WHERE workflow_id = $1",
    ],
    ids=["unknown", "not committed", "ended"],
)
async def test_only_an_open_creation_that_is_committed_is_tracked(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID, change: str
) -> None:
    given = await created()
    await database.execute(change, given.operation.workflow_id)
    assert (await refusal(tracking, given)).type == NOT_COMMITTED
    assert await written(database, management) == {}
