from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from app.temporal.client import DATA_CONVERTER
from tests.workflows.record_histories import HISTORIES, PATHS

with workflow.unsafe.imports_passed_through():
    from workflows.messages import AdminUserCreated, OperationResult, StepDone, TenantCreated, TenantCreationResult
    from workflows.steps import Step
    from workflows.tenant_creation import TenantCreation

pytestmark = pytest.mark.anyio


def stored(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


def test_every_path_has_a_stored_history() -> None:
    assert {file.stem for file in Path(HISTORIES).glob("*.json")} == set(PATHS)


@pytest.mark.parametrize("name", PATHS)
async def test_a_stored_history_replays(replayer: Replayer, name: str) -> None:
    await replayer.replay_workflow(stored(name))


@workflow.defn(name="tenantCreationWorkflow")
class Reordered(TenantCreation):
    """The same workflow with two steps in each other's place."""

    @workflow.init
    def __init__(self, argument: object = None) -> None:
        super().__init__(argument)

    @workflow.run
    async def run(self, argument: object = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        return await self.create()

    async def _run_steps(self) -> TenantCreationResult:
        run = self._operation.run_step
        await run(Step.INITIALIZING, self._understood, StepDone)
        tenant = await run(Step.CREATING_TENANT, self._understood, TenantCreated)
        admin = await run(Step.CREATING_ADMIN_USER, self._understood, AdminUserCreated)
        await run(Step.RUNNING_ONBOARDING_SEEDS, self._understood, StepDone)
        await run(Step.SETTING_UP_DATA, self._understood, StepDone)
        completed = await run(Step.COMPLETING, self._understood, OperationResult)
        return TenantCreationResult(
            tenant_id=completed.tenant_id,
            admin_user_id=admin.admin_user_id,
            client_id=tenant.client_id,
            created_at=tenant.created_at,
        )


async def test_the_replay_catches_two_steps_that_changed_places() -> None:
    replayer = Replayer(workflows=[Reordered], data_converter=DATA_CONVERTER)
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(stored("success"))
