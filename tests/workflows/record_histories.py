"""Records the histories that the replay tests read: `python -m tests.workflows.record_histories`.

Run it only for a path that has no history yet: a stored history is a promise to workflows that still run.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import Worker

from app.embedded.temporal import EmbeddedTemporal
from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.workflows.scripted import (
    IMPATIENT,
    Script,
    cancel_requested,
    final,
    parameters_changed,
    passing,
    request,
)
from workflows.messages import (
    CancelRequest,
    CleanupInput,
    OperationSnapshot,
    OperationStatus,
    ParameterChanges,
    ParameterUpdate,
    ResumeRequest,
    StepProgress,
)
from workflows.steps import Step

HISTORIES = Path(__file__).parent / "histories"
Handle = WorkflowHandle[Any, Any]
Act = Callable[[Handle, Script], Awaitable[None]]


async def _nothing(handle: Handle, script: Script) -> None: ...


async def _cancel_by_signal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("cancel", CancelRequest(reason="a change of mind", cancelled_by="ada"))


async def _cancel_by_temporal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.cancel()


async def _resume(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("resume", ResumeRequest(resumed_by="ada"))


async def _change(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))


async def _change_by_signal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("update", ParameterUpdate(field="licenseCount", value=12))


def ended_outside() -> CleanupInput:
    """An operation that was ended from outside, and is to be cleaned up."""
    operation = OperationSnapshot(
        kind="tenant_creation",
        status=OperationStatus.ROLLING_BACK,
        tenant_id=uuid4(),
        step=Step.CREATING_TENANT,
        steps=tuple(StepProgress(name=step) for step in Step),
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    return CleanupInput(run_id="a-run", operation=operation, cancel=CancelRequest(cancelled_by="ada"))


def _parking(step: Step, **policy: Any) -> Callable[[], Script]:
    return lambda: Script(errors={step: [passing()]}, policy=IMPATIENT.model_copy(update=policy))


def _hashed_request() -> dict[str, Any]:
    """As the gateway sends it: with a tenant id and a hash."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": "ada@acme.example", "passwordHash": "salt:key"}
    return request(adminUser=admin, tenantId=str(uuid4()), origin={"requestedBy": "key:example"})


PATHS: dict[str, tuple[str, Callable[[], Any], Callable[[], Script], Act]] = {
    "success": ("tenantCreationWorkflow", _hashed_request, Script, _nothing),
    "success_from_alga_client": ("tenantCreationWorkflow", request, Script, _nothing),
    "success_algadesk": ("algadeskTenantCreationWorkflow", request, Script, _nothing),
    "success_after_retry": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.CREATING_TENANT: [passing()]}),
        _nothing,
    ),
    "rollback": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.CREATING_ADMIN_USER: [final(Step.CREATING_ADMIN_USER)]}),
        _nothing,
    ),
    "rollback_retried": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.SETTING_UP_DATA: [final(Step.SETTING_UP_DATA)]}, rollback_errors=[passing()]),
        _nothing,
    ),
    "cancel_by_signal": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.RUNNING_ONBOARDING_SEEDS: [passing(), passing()]}),
        _cancel_by_signal,
    ),
    "cancel_by_temporal": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.RUNNING_ONBOARDING_SEEDS: [passing(), passing()]}),
        _cancel_by_temporal,
    ),
    "cancel_before_a_step": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.CREATING_ADMIN_USER: [cancel_requested()]}),
        _nothing,
    ),
    "cancel_after_completion": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.INITIALIZING: [final(Step.INITIALIZING)]}, is_complete=True),
        _nothing,
    ),
    "retried_within_the_window": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.CREATING_TENANT: [passing(), passing()]}),
        _nothing,
    ),
    "parked_and_resumed": ("tenantCreationWorkflow", _hashed_request, _parking(Step.CREATING_TENANT), _resume),
    "parked_and_changed": ("tenantCreationWorkflow", _hashed_request, _parking(Step.INITIALIZING), _change),
    "changed_by_signal": ("tenantCreationWorkflow", _hashed_request, _parking(Step.INITIALIZING), _change_by_signal),
    "change_given_up": (
        "tenantCreationWorkflow",
        _hashed_request,
        lambda: Script(errors={Step.CREATING_TENANT: [parameters_changed(1)]}),
        _nothing,
    ),
    "parked_and_cancelled": (
        "tenantCreationWorkflow",
        _hashed_request,
        _parking(Step.CREATING_TENANT),
        _cancel_by_signal,
    ),
    "parked_until_the_deadline": (
        "tenantCreationWorkflow",
        _hashed_request,
        _parking(Step.CREATING_TENANT, attention_timeout=timedelta(milliseconds=100)),
        _nothing,
    ),
    "cleanup": ("tenantCleanupWorkflow", ended_outside, Script, _nothing),
    "cleanup_retried": (
        "tenantCleanupWorkflow",
        ended_outside,
        lambda: Script(rollback_errors=[passing()]),
        _nothing,
    ),
    "cleanup_of_a_complete_tenant": (
        "tenantCleanupWorkflow",
        ended_outside,
        lambda: Script(is_complete=True),
        _nothing,
    ),
    "malformed_argument": ("tenantCreationWorkflow", lambda: {"tenantName": 5}, Script, _nothing),
}


async def record(client: Client, name: str) -> str:
    """Run one path and return its history as JSON."""
    workflow, argument, make_script, act = PATHS[name]
    script = make_script()
    async with Worker(
        client, task_queue=name, workflows=WORKFLOWS, activities=script.activities(), identity="recorder"
    ):
        handle: Handle = await client.start_workflow(workflow, argument(), id=f"recorded-{name}", task_queue=name)
        await act(handle, script)
        try:
            await handle.result()
        except WorkflowFailureError as failure:
            print(f"{name}: ended with {failure.cause}")  # noqa: T201 - the program's output
        return json.dumps(_without_this_machine(json.loads((await handle.fetch_history()).to_json())), indent=1)


def _without_this_machine(document: Any) -> Any:
    """The history without paths, host names and process ids; a replay reads none of them."""
    if isinstance(document, list):
        return [_without_this_machine(item) for item in document]
    if isinstance(document, dict):
        kept = {name: _without_this_machine(value) for name, value in document.items() if name != "stackTrace"}
        return {**kept, "identity": "recorder"} if "identity" in kept else kept
    return document


async def _record_missing(address: str) -> None:
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    for name in PATHS:
        file = HISTORIES / f"{name}.json"
        if not file.exists():
            file.write_text(await record(client, name) + "\n")
            print(f"{name}: recorded")  # noqa: T201 - the program's output


def main() -> None:
    """Record every path that has no history yet."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        EmbeddedTemporal(Path(folder), ui=False, durable=False) as temporal,
    ):
        asyncio.run(_record_missing(temporal.address))


if __name__ == "__main__":
    main()
