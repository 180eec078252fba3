"""What keeps a step from writing parameters that were changed while it was under way."""

from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.operations import request_cancel
from activities.parameter_changes import ParameterChangeActivities
from activities.tenant_creation import TenantCreationActivities
from tests.activities.conftest import context, request, step_input
from tests.support.audit import AUDIT
from workflows.messages import CancelRequest, ParameterChangeInput, StepInput, TenantCreationInput
from workflows.steps import Step

pytestmark = pytest.mark.anyio


@pytest.fixture
def changes(engine: AsyncEngine) -> ParameterChangeActivities:
    return ParameterChangeActivities(engine, AUDIT)


def given(request: TenantCreationInput, step: Step, version: int) -> StepInput:
    made = step_input(step, request)
    return made.model_copy(update={"operation": made.operation.model_copy(update={"parameters_version": version})})


def change(request: TenantCreationInput, *, version: int = 0, **values: object) -> ParameterChangeInput:
    assert request.tenant_id is not None
    operation = context(Step.INITIALIZING, request.tenant_id).model_copy(update={"parameters_version": version})
    return ParameterChangeInput(
        operation=operation, request=request.model_copy(update=values), first_used_in=Step.CREATING_TENANT
    )


async def refused(call: object) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call  # type: ignore[misc]  # any coroutine
    return caught.value


@pytest.fixture
def ours() -> TenantCreationInput:
    return request(uuid4())


async def test_a_step_that_has_not_seen_a_change_writes_nothing_and_its_next_try_does(
    changes: ParameterChangeActivities,
    creation: TenantCreationActivities,
    database: asyncpg.Connection,
    ours: TenantCreationInput,
) -> None:
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    accepted = change(ours, license_count=12)
    for _ in range(2):
        await changes.accept_parameter_changes(accepted)
    error = await refused(creation.create_tenant(given(ours, Step.CREATING_TENANT, 0)))
    assert (error.type, error.non_retryable, error.details) == ("parameters-changed", False, (None, 1))
    count = "SELECT licensed_user_count FROM tenants WHERE tenant = $1"
    assert await database.fetchval(count, ours.tenant_id) is None
    await creation.create_tenant(given(accepted.request, Step.CREATING_TENANT, 1))
    assert await database.fetchval(count, ours.tenant_id) == 12


async def test_a_change_comes_before_the_first_step_could_write_its_row(
    changes: ParameterChangeActivities, creation: TenantCreationActivities, ours: TenantCreationInput
) -> None:
    await changes.accept_parameter_changes(change(ours, license_count=12))
    error = await refused(creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0)))
    assert error.type == "parameters-changed"
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 1))


async def test_what_a_committed_step_has_used_is_refused(
    changes: ParameterChangeActivities, creation: TenantCreationActivities, ours: TenantCreationInput
) -> None:
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    await creation.create_tenant(given(ours, Step.CREATING_TENANT, 0))
    # As after a crash whose workflow task is run again.
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    error = await refused(changes.accept_parameter_changes(change(ours, license_count=12)))
    assert (error.type, error.non_retryable) == ("parameter-used", True)
    await creation.apply_blueprint(given(ours, Step.RUNNING_ONBOARDING_SEEDS, 0))


async def test_a_change_that_was_used_without_anybody_hearing_of_it_is_accepted_again(
    changes: ParameterChangeActivities, creation: TenantCreationActivities, ours: TenantCreationInput
) -> None:
    accepted = change(ours, license_count=12)
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    await changes.accept_parameter_changes(accepted)
    await creation.create_tenant(given(accepted.request, Step.CREATING_TENANT, 1))
    await changes.accept_parameter_changes(accepted)
    error = await refused(changes.accept_parameter_changes(change(ours, license_count=13)))
    assert error.type == "parameter-used"


async def test_a_change_that_nobody_heard_of_gives_way_to_another(
    changes: ParameterChangeActivities, creation: TenantCreationActivities, ours: TenantCreationInput
) -> None:
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    await changes.accept_parameter_changes(change(ours, license_count=12))
    await changes.accept_parameter_changes(change(ours, license_count=13))
    await changes.accept_parameter_changes(change(ours, version=1, license_count=14))
    error = await refused(changes.accept_parameter_changes(change(ours, license_count=15)))
    assert (error.type, error.details) == ("parameters-changed", (None, 2))


async def test_an_operation_that_was_asked_to_stop_takes_no_change(
    changes: ParameterChangeActivities,
    creation: TenantCreationActivities,
    engine: AsyncEngine,
    ours: TenantCreationInput,
) -> None:
    await creation.validate_tenant_request(given(ours, Step.INITIALIZING, 0))
    operation = given(ours, Step.INITIALIZING, 0).operation
    async with engine.begin() as connection:
        await request_cancel(connection, operation.workflow_id, operation.run_id, CancelRequest())
    error = await refused(changes.accept_parameter_changes(change(ours, license_count=12)))
    assert error.type == "cancel-requested"
