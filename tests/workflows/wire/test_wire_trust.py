"""What a client of Temporal can't do, whatever it sends."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.workflows.conftest import ON_BOTH_SERVERS
from tests.workflows.observing import failure_of, snapshot_of
from tests.workflows.wire.wire import (
    ADA,
    FORGED,
    Wire,
    asking,
    encodings,
    ended,
    shows,
)
from workflows.operations.kinds import KINDS
from workflows.operations.messages import UNKNOWN_CALLER
from workflows.tenants.deletions.state import STATE_SIGNAL
from workflows.tenants.steps import DELETION, DELETION_WORKFLOW

pytestmark = pytest.mark.anyio


async def test_an_id_of_the_gateways_form_is_refused(wire: Wire) -> None:
    parent = await wire.start(id=DELETION.workflow_id(uuid4()))
    failure = await failure_of(wire.as_we_see(parent))
    assert "workflow ids of this form are chosen by the gateway" in str(failure)
    assert not wire.script.has_begun


async def test_the_wire_grants_nothing_to_who_names_more_fields(wire: Wire) -> None:
    parent = await wire.start({**asking(reason="contract ended", subscriptionExternalId="sub_1"), **FORGED})
    await shows(parent, status="awaiting_confirmation")
    request = wire.script.request
    assert request is not None
    assert (request.confirmed, request.export, request.grace_period_days) == (False, False, 30)
    assert (request.reason, request.subscription_external_id, request.triggered_by) == (
        "contract ended",
        "sub_1",
        ADA,
    )
    assert (request.origin.requested_by, request.origin.requested_via) == (UNKNOWN_CALLER, UNKNOWN_CALLER)
    assert request.tenant_name == "Acme"
    shown = await snapshot_of(wire.as_we_see(await wire.deletion_of(parent)))
    named = {warning.field for warning in shown.warnings if warning.code == "unknown-field"}
    assert named == FORGED.keys() - {"origin"}
    assert [warning.detail for warning in shown.warnings if "export" in warning.detail] != []
    await parent.signal("rollbackDeletion")
    await parent.result()


@ON_BOTH_SERVERS
@pytest.mark.parametrize("workflow_id", ["tenant-deletion-7", None])
async def test_a_stranger_can_not_start_the_deletion_itself(wire: Wire, workflow_id: str | None) -> None:
    """In clear, with all that our own start has."""
    argument = {**asking(), **FORGED, "origin": {"requestedBy": UNKNOWN_CALLER, "startId": str(uuid4())}}
    handle = await wire.alga.start_workflow(
        DELETION_WORKFLOW, argument, id=workflow_id or DELETION.workflow_id(uuid4()), task_queue=wire.task_queue
    )
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    assert not wire.script.has_begun


async def test_the_ids_of_deletions_are_not_of_the_gateways_form(wire: Wire) -> None:
    """Whatever the client calls its own workflow: the gateway's results are encrypted."""
    parent = await wire.start(id="tenant-deletion")
    deletion = await wire.deletion_of(parent)
    assert not KINDS.is_own_id(deletion.id)
    await parent.signal("rollbackDeletion")
    await parent.result()


async def test_a_strangers_report_of_the_state_is_ignored(wire: Wire) -> None:
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    before = await shows(parent, status="awaiting_confirmation")
    forged = {"deletion": deletion.id, "state": {**before, "status": "deleted"}}
    for origin in ({}, {"origin": {"requestedBy": UNKNOWN_CALLER}}):
        await parent.signal(STATE_SIGNAL, {**forged, **origin})
    nonsense: tuple[Any, ...] = (None, [], "x", {"state": 5})
    for argument in nonsense:
        await parent.signal(STATE_SIGNAL, argument)
    assert await parent.query("getDeletionState") == before
    await parent.signal("rollbackDeletion")
    assert (await parent.result())["status"] == "rolled_back"


async def test_only_messages_between_our_workflows_are_encrypted(wire: Wire) -> None:
    parent = await wire.start()
    await shows(parent, status="awaiting_confirmation")
    deletion = await wire.deletion_of(parent)
    await parent.signal("confirmDeletion", {"type": "immediate"})
    await parent.result()
    forms: dict[str, set[str]] = {"input": set(), "state": set(), "passed on": set(), "result": set()}
    for handle in (parent, deletion):
        async for event in handle.fetch_history_events():
            signalled = event.workflow_execution_signaled_event_attributes
            started = event.start_child_workflow_execution_initiated_event_attributes
            forms["input"] |= encodings(started.input.payloads)
            forms["result"] |= encodings(event.workflow_execution_completed_event_attributes.result.payloads)
            if signalled.signal_name == STATE_SIGNAL:
                forms["state"] |= encodings(signalled.input.payloads)
            elif signalled.signal_name:
                forms["passed on"] |= encodings(signalled.input.payloads)
    plain, encrypted = {"json/plain"}, {"binary/encrypted"}
    assert forms == {"input": encrypted, "state": encrypted, "passed on": plain, "result": plain}
