"""A step knows whether it was committed before, even if that was while it waited for its turn."""

import asyncio

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.fence import Entry, begin_operation, enter_step
from activities.tenant_creation import TenantCreationActivities
from tests.activities.conftest import step_input
from tests.activities.test_steps import run
from tests.support.rows import fingerprints
from tests.support.waiting import wait_until
from workflows.messages import TenantCreationInput
from workflows.steps import Step

pytestmark = pytest.mark.anyio


async def test_only_the_first_run_of_a_step_is_the_first(
    engine: AsyncEngine, tenant_request: TenantCreationInput
) -> None:
    first_step = step_input(Step.INITIALIZING, tenant_request).operation
    next_step = step_input(Step.CREATING_TENANT, tenant_request).operation
    entries = []
    for _ in range(2):
        async with engine.begin() as connection:
            entry, _events = await begin_operation(connection, first_step, tenant_request)
            entries.append(entry)
    for _ in range(2):
        async with engine.begin() as connection:
            entries.append(await enter_step(connection, next_step))
    assert entries == [Entry(is_first=first, owns_tenant=False) for first in (True, False, True, False)]


async def test_a_try_that_was_undone_does_not_count(engine: AsyncEngine, tenant_request: TenantCreationInput) -> None:
    operation = step_input(Step.INITIALIZING, tenant_request).operation
    async with engine.begin() as connection:
        await begin_operation(connection, operation, tenant_request)
    seeds = step_input(Step.RUNNING_ONBOARDING_SEEDS, tenant_request).operation
    for _ in range(2):
        async with engine.connect() as connection:
            assert (await enter_step(connection, seeds)).is_first
            await connection.rollback()


async def test_of_two_tries_at_once_the_second_sees_the_first_ones_commit(
    engine: AsyncEngine, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    operation = step_input(Step.INITIALIZING, tenant_request).operation
    async with engine.begin() as connection:
        await begin_operation(connection, operation, tenant_request)
    seeds = step_input(Step.RUNNING_ONBOARDING_SEEDS, tenant_request).operation

    async def second() -> Entry:
        async with engine.begin() as connection:
            return await enter_step(connection, seeds)

    async def waits() -> bool:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await database.fetchval(waiting) == 1)

    async with engine.begin() as connection:
        assert (await enter_step(connection, seeds)).is_first
        rival = asyncio.create_task(second())
        await wait_until(waits, timeout=5, every=0.01)
    assert not (await rival).is_first


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.COMPLETING])
async def test_two_tries_of_a_step_at_once_write_its_rows_once(
    creation: TenantCreationActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    step: Step,
) -> None:
    if step is not Step.INITIALIZING:
        await run(creation, tenant_request, until=list(Step)[list(Step).index(step) - 1])
    method = {
        Step.INITIALIZING: creation.validate_tenant_request,
        Step.CREATING_TENANT: creation.create_tenant,
        Step.RUNNING_ONBOARDING_SEEDS: creation.apply_blueprint,
        Step.CREATING_ADMIN_USER: creation.create_admin_user,
        Step.SETTING_UP_DATA: creation.set_up_initial_data,
    }[step]
    await asyncio.gather(*(method(step_input(step, tenant_request)) for _ in range(3)))
    rows = await fingerprints(database)
    await method(step_input(step, tenant_request))
    assert await fingerprints(database) == rows
    await run(creation, tenant_request)
