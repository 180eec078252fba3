"""The portal user of a customer, in both shapes of Alga's tables."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.customers.activities import CustomerActivities
from activities.customers.portal_user import PORTAL_USER_REFUSED, awaits_password
from activities.customers.tracking import CONTACT_TAKEN
from tests.activities.conftest import ON_ONE_SHAPE, provision_input, provisioning_on, request
from tests.activities.customers.conftest import Creation
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TRACK_CUSTOMER

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def portal_role(database: asyncpg.Connection, management: UUID) -> UUID:
    """The role that portal users get; two others have its name or its rights alone."""
    for name, msp, client in (("Admin", True, False), ("User", False, True)):
        await database.execute(
            "INSERT INTO roles (tenant, role_name, msp, client) VALUES ($1, $2, $3, $4)",
            management,
            name,
            msp,
            client,
        )
    query = "INSERT INTO roles (tenant, role_name, msp, client) VALUES ($1, 'Admin', false, true) RETURNING role_id"
    role_id: UUID = await database.fetchval(query, management)
    return role_id


async def add_user(database: asyncpg.Connection, tenant_id: UUID, email: str, user_type: str = "client") -> UUID:
    user_id = uuid4()
    await database.execute(
        "INSERT INTO users (tenant, user_id, email, username, hashed_password, user_type)"
        " VALUES ($1, $2, $3, $3, 'salt:key', $4)",
        tenant_id,
        user_id,
        email,
        user_type,
    )
    return user_id


async def users_of(database: asyncpg.Connection, tenant_id: UUID) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.fetch("SELECT * FROM users WHERE tenant = $1", tenant_id)]


async def test_the_contact_gets_a_user_without_a_password_and_with_the_role_of_the_portal(
    tracking: CustomerActivities,
    created: Creation,
    database: asyncpg.Connection,
    management: UUID,
    portal_role: UUID,
) -> None:
    given = await created(portalUser=True)
    email = f"ada-{given.operation.tenant_id}@acme.example"
    for _ in range(2):
        done = await tracking.track_customer(given)
        assert (done.warnings, done.result["customerTracking"]["portalStatus"]) == ((), "created")
    [user] = await users_of(database, management)
    assert (user["email"], user["username"], user["user_type"], user["is_inactive"]) == (
        email,
        email,
        "client",
        False,
    )
    assert (user["first_name"], user["last_name"]) == ("Ada", "Byron")
    assert str(user["contact_id"]) == done.result["customerContactId"]
    # Alga refuses every password for a hash without a colon.
    assert ":" not in user["hashed_password"]
    roles = await database.fetch("SELECT role_id FROM user_roles WHERE tenant = $1", management)
    assert [row[0] for row in roles] == [portal_role]


async def test_only_a_portal_user_without_a_password_gets_a_link(
    tracking: CustomerActivities,
    created: Creation,
    database: asyncpg.Connection,
    management: UUID,
    engine: AsyncEngine,
) -> None:
    given = await created(portalUser=True)
    await tracking.track_customer(given)
    tenant_id, email = given.operation.tenant_id, f"ada-{given.operation.tenant_id}@acme.example"
    async with engine.connect() as connection:
        assert await awaits_password(connection, management, tenant_id, email)
        assert not await awaits_password(connection, management, tenant_id, "eve@acme.example")
        await database.execute("UPDATE users SET hashed_password = 'salt:key' WHERE tenant = $1", management)
        assert not await awaits_password(connection, management, tenant_id, email)


async def test_without_the_wish_there_is_no_portal_user(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    done = await tracking.track_customer(await created())
    assert done.result["customerTracking"]["portalStatus"] == "skipped"
    assert await users_of(database, management) == []


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_a_portal_user_of_others_with_the_same_email_is_never_touched(
    tracking: CustomerActivities,
    created: Creation,
    database: asyncpg.Connection,
    management: UUID,
    is_elsewhere: bool,
) -> None:
    given, elsewhere = await created(portalUser=True), await created()
    owner = elsewhere.operation.tenant_id if is_elsewhere else management
    stranger = await add_user(database, owner, f"Ada-{given.operation.tenant_id}@Acme.example")
    # An internal user with the e-mail is another kind of account.
    await add_user(database, management, f"ada-{given.operation.tenant_id}@acme.example", "internal")
    before = await users_of(database, owner)
    done = await tracking.track_customer(given)
    [warning] = done.warnings
    assert warning.code == PORTAL_USER_REFUSED
    assert (str(stranger) in warning.detail) is not is_elsewhere
    assert done.result["customerTracking"]["portalError"] == warning.detail
    assert "customerContactId" in done.result
    assert await users_of(database, owner) == before


async def test_without_a_contact_or_a_role_there_is_no_portal_user(
    tracking: CustomerActivities, created: Creation, database: asyncpg.Connection, management: UUID
) -> None:
    taken = await created(tenantName="Taken", portalUser=True)
    await database.execute(
        "INSERT INTO contacts (tenant, full_name, email) VALUES ($1, 'Eve', $2)",
        management,
        f"ada-{taken.operation.tenant_id}@acme.example",
    )
    done = await tracking.track_customer(taken)
    assert [warning.code for warning in done.warnings] == [CONTACT_TAKEN, PORTAL_USER_REFUSED]
    await database.execute("DELETE FROM roles WHERE tenant = $1", management)
    done = await tracking.track_customer(await created(tenantName="No role", portalUser=True))
    assert [warning.code for warning in done.warnings] == [PORTAL_USER_REFUSED]
    assert await users_of(database, management) == []


@ON_ONE_SHAPE
@pytest.mark.parametrize(
    ("has_management", "has_links", "changes", "said"),
    [
        (False, True, {}, "MASTER_BILLING_TENANT_ID"),
        (True, False, {}, "ALGA_SECRET_KEY"),
        (True, True, {"skipWelcomeEmail": True}, "skipWelcomeEmail"),
        (True, True, {"skipCustomerTracking": True}, "skipCustomerTracking"),
    ],
)
async def test_a_portal_user_who_could_not_sign_in_is_refused_by_name(
    engine: AsyncEngine,
    management: UUID,
    *,
    has_management: bool,
    has_links: bool,
    changes: dict[str, Any],
    said: str,
) -> None:
    provisioning = provisioning_on(
        engine,
        TRACK_CUSTOMER,
        SEND_WELCOME_EMAIL,
        billing_tenant=management if has_management else None,
        mails_have_links=has_links,
    )
    with pytest.raises(ApplicationError) as refused:
        await provisioning.provision_tenant(provision_input(request(uuid4(), portalUser=True, **changes)))
    assert (refused.value.type, refused.value.details[0].field) == ("invalid-request", "portalUser")
    assert said in refused.value.message
