"""Licences and add-ons are changed once for each event, and what a change means is said in warnings."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.entitlements.activities import EntitlementActivities
from tests.activities.conftest import RUN
from tests.support.audit import AUDIT
from tests.support.tenants.rows import fingerprints
from workflows.operations.kinds import OperationKind, initial_snapshot
from workflows.operations.messages import Committed, OperationContext
from workflows.tenants.entitlements import AddonInput, AddonRequest, LicenceInput, LicenceRequest
from workflows.tenants.steps import ADDON_CHANGE, LICENCE_CHANGE

pytestmark = pytest.mark.anyio

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def entitlements(engine: AsyncEngine) -> EntitlementActivities:
    return EntitlementActivities(engine, AUDIT)


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> UUID:
    tenant_id = uuid4()
    await database.execute(
        "INSERT INTO tenants (tenant, client_name, email, product_code, billing_source, plan, licensed_user_count)"
        " VALUES ($1, 'Acme', 'ada@acme.example', 'psa', 'manual', 'pro', 5)",
        tenant_id,
    )
    return tenant_id


def context_of(kind: OperationKind, tenant_id: UUID) -> OperationContext:
    snapshot = initial_snapshot(kind).model_copy(update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)})
    return OperationContext(workflow_id=kind.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)


def licence(tenant_id: UUID, **given: Any) -> LicenceInput:
    return LicenceInput(
        operation=context_of(LICENCE_CHANGE, tenant_id), request=LicenceRequest(tenant_id=tenant_id, **given)
    )


def addon(tenant_id: UUID, *, is_granted: bool = True, key: str = "teams", **given: Any) -> AddonInput:
    request = AddonRequest(tenant_id=tenant_id, addon_key=key, is_granted=is_granted, **given)
    return AddonInput(operation=context_of(ADDON_CHANGE, tenant_id), request=request)


async def add_users(database: asyncpg.Connection, tenant_id: UUID, number: int) -> None:
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        for name in range(number):
            await database.execute(
                "INSERT INTO users (tenant, user_id, username, email, hashed_password, user_type, is_inactive)"
                " VALUES ($1, $2, $3, $3, 'x', 'internal', $4)",
                tenant_id,
                uuid4(),
                f"{name}@{tenant_id}.example",
                name == 0,
            )


async def tenant_row(database: asyncpg.Connection, tenant_id: UUID) -> dict[str, Any]:
    return dict(await database.fetchrow("SELECT * FROM tenants WHERE tenant = $1", tenant_id))


async def addon_row(database: asyncpg.Connection, tenant_id: UUID) -> dict[str, Any] | None:
    row = await database.fetchrow("SELECT * FROM tenant_addons WHERE tenant = $1", tenant_id)
    return dict(row) if row is not None else None


def warnings(committed: Committed) -> list[str]:
    return [warning.code for warning in committed.warnings]


async def test_a_licence_is_set_with_its_event_as_alga_does(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    before = await tenant_row(database, tenant_id)
    committed = await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25))
    after = await tenant_row(database, tenant_id)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"licensed_user_count", "stripe_event_id", "last_license_update", "updated_at"}
    assert (after["licensed_user_count"], after["plan"], after["stripe_event_id"]) == (25, "pro", "evt_1")
    assert committed.result == {"tenantId": str(tenant_id), "licenseCount": 25, "isRepeated": False}


async def test_a_repeated_event_changes_nothing_although_another_came_between(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25))
    await entitlements.change_licence(licence(tenant_id, event_id="evt_2", license_count=30))
    before = await fingerprints(database)
    committed = await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25))
    assert committed.result is not None
    assert committed.result["isRepeated"]
    own = {"alga_tenants.operations", "alga_tenants.audit_events", "alga_tenants.audit_head"}
    after = await fingerprints(database)
    assert {name for name in after if after[name] != before[name]} <= own
    assert (await tenant_row(database, tenant_id))["licensed_user_count"] == 30


@pytest.mark.parametrize("other", [{"license_count": 26}, {"license_count": 25, "plan": "solo"}])
async def test_an_event_id_stands_for_one_change(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID, other: dict[str, Any]
) -> None:
    await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25))
    with pytest.raises(ApplicationError, match="another change of the tenant") as refused:
        await entitlements.change_licence(licence(tenant_id, event_id="evt_1", **other))
    assert refused.value.type == "event-id-used"
    assert (await tenant_row(database, tenant_id))["licensed_user_count"] == 25


async def test_tenants_do_not_share_event_ids(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25))
    of_another = "UPDATE alga_tenants.applied_changes SET tenant_id = $2 WHERE tenant_id = $1"
    await database.execute(of_another, tenant_id, uuid4())
    committed = await entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=26))
    assert committed.result is not None
    assert not committed.result["isRepeated"]


async def test_of_simultaneous_operations_with_one_event_one_is_applied(
    entitlements: EntitlementActivities, tenant_id: UUID
) -> None:
    done = await asyncio.gather(
        *(entitlements.change_licence(licence(tenant_id, event_id="evt_1", license_count=25)) for _ in range(5))
    )
    assert sorted((committed.result or {})["isRepeated"] for committed in done) == [False, True, True, True, True]


async def test_users_above_the_licence_are_a_warning(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await add_users(database, tenant_id, 4)
    assert warnings(await entitlements.change_licence(licence(tenant_id, license_count=3))) == []
    assert warnings(await entitlements.change_licence(licence(tenant_id, license_count=2))) == ["users-above-licence"]
    assert warnings(await entitlements.change_licence(licence(tenant_id, plan="solo"))) == ["users-above-licence"]


async def test_a_tenant_that_pays_elsewhere_may_be_set_again(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await database.execute("UPDATE tenants SET billing_source = 'stripe' WHERE tenant = $1", tenant_id)
    committed = await entitlements.change_licence(licence(tenant_id, license_count=25))
    assert warnings(committed) == ["billed-elsewhere"]


async def test_an_addon_is_granted_prolonged_and_revoked(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await entitlements.change_addon(addon(tenant_id, expires_at=TOMORROW))
    granted = await addon_row(database, tenant_id)
    assert granted is not None
    assert (granted["addon_key"], granted["expires_at"]) == ("teams", TOMORROW)
    await entitlements.change_addon(addon(tenant_id))
    assert await addon_row(database, tenant_id) == {**granted, "expires_at": None}
    await entitlements.change_addon(addon(tenant_id, is_granted=False))
    assert await addon_row(database, tenant_id) is None
    await entitlements.change_addon(addon(tenant_id, is_granted=False))


async def test_an_expired_addon_begins_anew(
    entitlements: EntitlementActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    long_ago = datetime(2026, 1, 2, tzinfo=UTC)
    await database.execute(
        "INSERT INTO tenant_addons (tenant, addon_key, activated_at, expires_at, metadata)"
        " VALUES ($1, 'teams', $2, $2, '{\"seats\": 3}')",
        tenant_id,
        long_ago,
    )
    await entitlements.change_addon(addon(tenant_id, expires_at=TOMORROW))
    row = await addon_row(database, tenant_id)
    assert row is not None
    assert row["activated_at"] > long_ago
    assert row["metadata"] == '{"seats": 3}'


async def test_a_tenant_that_does_not_exist_is_refused(entitlements: EntitlementActivities) -> None:
    with pytest.raises(ApplicationError) as refused:
        await entitlements.change_addon(addon(uuid4()))
    assert refused.value.type == "tenant-not-found"
