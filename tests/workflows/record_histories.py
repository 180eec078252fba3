"""Records the histories that the replay tests read: `python -m tests.workflows.record_histories`.

Run it only for a path that has no history yet: a stored history is a promise to workflows that still run.
"""

import asyncio
import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from app.embedded.temporal import EmbeddedTemporal
from app.worker.factory import WORKFLOWS
from tests.support.servers.temporal import converter_of
from tests.workflows.deletions.scripted_deletion import DeletionScript, deletion_request
from tests.workflows.recorded_acts import Handle, cancel_by_signal, cancel_by_temporal, nothing, parking, resume
from tests.workflows.recorded_acts import Path as RecordedPath
from tests.workflows.recorded_changes import CHANGE_PATHS
from tests.workflows.scripted import (
    IMPATIENT,
    Script,
    cancel_requested,
    final,
    parameters_changed,
    passing,
    request,
)
from tests.workflows.wire.scripted_wire import WireScript
from workflows.operations.messages import Cancellation, ParameterChanges, ParameterUpdate, ResumeRequest
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    BEGIN_DELETION_ACTIVITY,
    CREATE_ADMIN_USER,
    DELETION_WORKFLOW,
    PURGE_ACTIVITY,
    READ_DELETION_ACTIVITY,
    RESEND_WORKFLOW,
    SUSPEND,
    TRACK_CUSTOMER,
    WIRE_DELETION_WORKFLOW,
)

SECRET = "a secret of recorded histories"
CONVERTER = converter_of(SECRET)
HISTORIES = Path(__file__).parent / "histories"


async def _change(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))


async def _change_by_signal(handle: Handle, script: Script) -> None:
    await script.reached.wait()
    await handle.signal("update", ParameterUpdate(field="licenseCount", value=12))


def _retrying() -> Script:
    return Script(errors=[passing(APPLY_BLUEPRINT), passing(APPLY_BLUEPRINT)])


def _following(errors: int) -> Script:
    return Script(
        following=(TRACK_CUSTOMER,), follow_up_errors={TRACK_CUSTOMER: [passing()] * errors}, policy=IMPATIENT
    )


def _hashed_request() -> dict[str, Any]:
    """Return a request as the gateway sends it: with a tenant id and a hash."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": "ada@acme.example", "passwordHash": "salt:key"}
    return request(adminUser=admin, tenantId=str(uuid4()), origin={"requestedBy": "key:example"})


def _mail_request(**changes: Any) -> dict[str, Any]:
    """Return a request for a welcome mail, as Alga's client sends it or as changed."""
    return {"tenantId": str(uuid4()), "triggeredBy": "ada", "triggeredByEmail": "ada@alga.example", **changes}


def _deletion(script: Script) -> DeletionScript:
    """Return the script of a path of a deletion."""
    if not isinstance(script, DeletionScript):
        raise TypeError("the path is not that of a deletion")
    return script


async def _confirm(handle: Handle, script: Script) -> None:
    deletion = _deletion(script)
    await deletion.calls_of(READ_DELETION_ACTIVITY, 1)
    await deletion.confirm()
    await handle.signal("confirm")


async def _cancel_unconfirmed(handle: Handle, script: Script) -> None:
    deletion = _deletion(script)
    await deletion.calls_of(READ_DELETION_ACTIVITY, 1)
    await handle.signal("cancel", Cancellation(reason="paid", by="ada"))


async def _resume_purge(handle: Handle, script: Script) -> None:
    deletion = _deletion(script)
    await deletion.calls_of(PURGE_ACTIVITY, 1)
    await handle.signal("resume", ResumeRequest(resumed_by="ada"))


async def _signal_wire(handle: Handle, script: Script, name: str, argument: dict[str, str]) -> None:
    await _deletion(script).calls_of(READ_DELETION_ACTIVITY, 1)
    await handle.signal(name, argument)


async def _confirm_wire(handle: Handle, script: Script) -> None:
    await _signal_wire(handle, script, "confirmDeletion", {"type": "immediate", "confirmedBy": "ada"})


async def _rollback_wire(handle: Handle, script: Script) -> None:
    await _signal_wire(handle, script, "rollbackDeletion", {"reason": "paid", "rolledBackBy": "ada"})


def _wire_request() -> dict[str, Any]:
    """Return a request to delete a tenant, as Alga's client sends it."""
    return {"tenantId": str(uuid4()), "triggerSource": "manual", "triggeredBy": "ada", "reason": "contract ended"}


async def _child_of(client: Client, handle: Handle) -> Handle:
    """Return the workflow that the given one has started."""
    async for event in handle.fetch_history_events():
        child = event.child_workflow_execution_started_event_attributes.workflow_execution
        if child.workflow_id:
            return client.get_workflow_handle(child.workflow_id, run_id=child.run_id)
    raise AssertionError("no workflow was started")


CREATION = "tenantCreationWorkflow"
# Paths of which the history of the started workflow is kept.
OF_CHILD = frozenset({"wire_deletion_confirmed", "wire_deletion_undone"})
PATHS: dict[str, RecordedPath] = {
    **CHANGE_PATHS,
    "success": (CREATION, request, Script, nothing),
    "success_from_gateway": (CREATION, _hashed_request, Script, nothing),
    "success_algadesk": ("algadeskTenantCreationWorkflow", request, Script, nothing),
    "retried": (CREATION, _hashed_request, _retrying, nothing),
    "failed": (CREATION, _hashed_request, lambda: Script(errors=[final(CREATE_ADMIN_USER)]), nothing),
    "failed_and_closed_later": (
        CREATION,
        _hashed_request,
        lambda: Script(errors=[final(CREATE_ADMIN_USER)], close_errors=[passing()]),
        nothing,
    ),
    "cancel_by_signal": (CREATION, _hashed_request, _retrying, cancel_by_signal),
    "cancel_by_temporal": (CREATION, _hashed_request, _retrying, cancel_by_temporal),
    "cancel_seen_by_the_transaction": (
        CREATION,
        _hashed_request,
        lambda: Script(errors=[cancel_requested()]),
        nothing,
    ),
    "committed_before_the_cancel": (
        CREATION,
        _hashed_request,
        lambda: Script(errors=[cancel_requested()], is_committed=True),
        nothing,
    ),
    "parked_and_resumed": (CREATION, _hashed_request, parking(), resume),
    "parked_and_changed": (CREATION, _hashed_request, parking(), _change),
    "changed_by_signal": (CREATION, _hashed_request, parking(), _change_by_signal),
    "change_given_up": (CREATION, _hashed_request, lambda: Script(errors=[parameters_changed(1)]), nothing),
    "parked_and_cancelled": (CREATION, _hashed_request, parking(), cancel_by_signal),
    "parked_until_the_deadline": (
        CREATION,
        _hashed_request,
        parking(attention_timeout=timedelta(milliseconds=100)),
        nothing,
    ),
    "followed_up": (CREATION, _hashed_request, lambda: _following(0), nothing),
    "warned": (CREATION, _hashed_request, lambda: _following(5), nothing),
    "mail_sent_again": (RESEND_WORKFLOW, _mail_request, Script, nothing),
    "mail_sent_again_by_gateway": (
        RESEND_WORKFLOW,
        lambda: _mail_request(origin={"requestedBy": "key:example"}),
        lambda: Script(errors=[passing()]),
        nothing,
    ),
    "mail_given_up": (
        RESEND_WORKFLOW,
        _mail_request,
        lambda: Script(errors=[passing()] * 100, policy=IMPATIENT),
        nothing,
    ),
    "deleted_after_confirmation": (
        DELETION_WORKFLOW,
        lambda: deletion_request(gracePeriodDays=0),
        DeletionScript,
        _confirm,
    ),
    "deleted_at_once": (
        DELETION_WORKFLOW,
        lambda: deletion_request(gracePeriodDays=0, confirmed=True),
        DeletionScript,
        nothing,
    ),
    "deletion_undone": (DELETION_WORKFLOW, deletion_request, DeletionScript, _cancel_unconfirmed),
    "deletion_refused": (
        DELETION_WORKFLOW,
        deletion_request,
        lambda: DeletionScript(failures={BEGIN_DELETION_ACTIVITY: [final(SUSPEND)]}),
        nothing,
    ),
    "purge_retried": (
        DELETION_WORKFLOW,
        lambda: deletion_request(gracePeriodDays=0, confirmed=True),
        lambda: DeletionScript(failures={PURGE_ACTIVITY: [passing()]}),
        _resume_purge,
    ),
    "purge_stopped_by_an_undo": (
        DELETION_WORKFLOW,
        lambda: deletion_request(gracePeriodDays=0, confirmed=True),
        lambda: DeletionScript(failures={PURGE_ACTIVITY: [cancel_requested()]}),
        nothing,
    ),
    "wire_handed_over": (WIRE_DELETION_WORKFLOW, _wire_request, WireScript, _confirm_wire),
    "wire_rolled_back": (WIRE_DELETION_WORKFLOW, _wire_request, WireScript, _rollback_wire),
    "wire_off": (WIRE_DELETION_WORKFLOW, _wire_request, lambda: WireScript(refused="it is off"), nothing),
    "wire_deletion_confirmed": (WIRE_DELETION_WORKFLOW, _wire_request, WireScript, _confirm_wire),
    "wire_deletion_undone": (WIRE_DELETION_WORKFLOW, _wire_request, WireScript, _rollback_wire),
    "malformed_argument": (CREATION, lambda: {"tenantName": 5}, Script, nothing),
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
        if name in OF_CHILD:
            handle = await _child_of(client, handle)
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
    client = await Client.connect(address, data_converter=CONVERTER)
    HISTORIES.mkdir(exist_ok=True)
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
