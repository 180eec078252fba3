"""Deletions by Alga's client: start, state and result."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS
from tests.workflows.deletions.scripted_deletion import STATS
from tests.workflows.observing import check_replay, failure_of
from tests.workflows.wire.wire import (
    ADA,
    DAYS_OF_ALGAS_CLIENT,
    Wire,
    asking,
    error_of,
    shows,
)
from workflows.operations.failures import ENDED_OUTSIDE, OPERATION_IN_PROGRESS
from workflows.tenants.deletions.state import OpenDeletion, deletion_id
from workflows.tenants.deletions.wire import WIRE_OFF
from workflows.tenants.steps import BEGIN_DELETION_ACTIVITY

pytestmark = pytest.mark.anyio


@ON_BOTH_SERVERS
async def test_a_confirmed_deletion_is_shown_by_both_workflows_until_it_is_done(
    wire: Wire, replayer: Replayer
) -> None:
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    waiting = await shows(parent, status="awaiting_confirmation", step="awaiting_confirmation")
    assert waiting == await deletion.query("getState") == await parent.query("getState")
    assert waiting["stats"] == STATS
    assert waiting["tenantName"] == "Acme"
    await parent.signal("confirmDeletion", {"type": "immediate", "confirmedBy": ADA})
    result = await parent.result()
    [confirmation] = wire.script.confirmations
    assert (confirmation.type, confirmation.claimed_by) == ("immediate", ADA)
    assert result == {
        "success": True,
        "deletionId": waiting["deletionId"],
        "tenantId": waiting["tenantId"],
        "status": "deleted",
        "workflowId": deletion.id,
        "deletedAt": result["deletedAt"],
    }
    assert wire.script.purged_at is not None
    done = await parent.query("getDeletionState")
    assert (done["step"], done["status"]) == ("completed", "deleted")
    assert (done["confirmationType"], done["confirmedBy"]) == ("immediate", ADA)
    assert done == await deletion.query("getDeletionState")
    for handle in (parent, deletion):
        await check_replay(wire.as_we_see(handle), replayer)


async def test_it_fails_and_names_the_setting_unless_the_worker_allows_it(wire: Wire) -> None:
    wire.script.refused = "WIRE_DELETION is off"
    parent = await wire.start()
    failure = await failure_of(parent)
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.message) == (WIRE_OFF, "WIRE_DELETION is off")
    assert not wire.script.has_begun
    state = await parent.query("getDeletionState")
    assert (state["status"], state["error"]) == ("failed", "WIRE_DELETION is off")


@pytest.mark.parametrize(
    ("argument", "field"),
    [
        ({"triggerSource": "manual"}, "tenantId"),
        (asking(tenantId="nonsense"), "tenantId"),
        (asking(triggerSource="a whim"), "triggerSource"),
        (asking(triggeredBy=5), "triggeredBy"),
        (asking(subscriptionExternalId=["sub_1"]), "subscriptionExternalId"),
        (asking(reason={}), "reason"),
        (["nonsense"], None),
        (None, None),
    ],
)
async def test_a_wrong_argument_is_refused_and_its_field_named(wire: Wire, argument: Any, field: str | None) -> None:
    parent = await wire.start(argument if argument is not None else "nothing")
    failure = await failure_of(parent)
    assert isinstance(failure, ApplicationError)
    assert failure.type == "invalid-request"
    if field is not None:
        assert failure.message.startswith(f"{field}: ")
        assert failure.details == (field,)
    assert not wire.script.has_begun


async def test_silence_of_90_days_is_a_yes_on_the_wire(wire: Wire) -> None:
    parent = await wire.start()
    started_at = await wire.script.clock()
    result = await parent.result()
    assert result["status"] == "deleted"
    assert [given.type for given in wire.script.confirmations] == ["auto_90_days"]
    assert wire.script.purged_at is not None
    assert timedelta(days=90) <= wire.script.purged_at - started_at < timedelta(days=91)


@pytest.mark.parametrize("client", ["dev"], indirect=True)
async def test_the_deletion_has_no_timeout_and_outlives_a_terminated_client(wire: Wire) -> None:
    parent = await wire.start(run_timeout=DAYS_OF_ALGAS_CLIENT)
    deletion = await wire.deletion_of(parent)
    await shows(parent, status="awaiting_confirmation")
    async for event in deletion.fetch_history_events():
        started = event.workflow_execution_started_event_attributes
        assert not started.workflow_execution_timeout.ToTimedelta()
        assert not started.workflow_run_timeout.ToTimedelta()
        break
    await parent.terminate("by hand")
    await deletion.signal("confirmDeletion", {"type": "immediate"})
    assert (await deletion.result())["deletedAt"]
    assert (await deletion.query("getDeletionState"))["status"] == "deleted"


@ON_BOTH_SERVERS
async def test_a_second_deletion_returns_the_ids_of_the_first_one(wire: Wire) -> None:
    first = OpenDeletion(workflow_id="first", deletion_id=deletion_id("first", "1"), status="confirmed")
    wire.script.open_deletions = [first]
    parent = await wire.start()
    result = await parent.result()
    assert result == {
        "success": False,
        "deletionId": str(first.deletion_id),
        "tenantId": result["tenantId"],
        "status": "confirmed",
        "workflowId": "first",
        "error": "the tenant is being deleted already, by workflow first",
    }
    assert (await parent.query("getDeletionState"))["deletionId"] == str(first.deletion_id)
    assert not wire.script.has_begun


async def test_so_does_one_that_was_started_at_the_same_time(wire: Wire) -> None:
    first = OpenDeletion(workflow_id="first", deletion_id=deletion_id("first", "1"), status="pending")
    wire.script.open_deletions = [None, first]
    wire.script.failures[BEGIN_DELETION_ACTIVITY] = [error_of(OPERATION_IN_PROGRESS)]
    result = await (await wire.start()).result()
    assert (result["success"], result["workflowId"]) == (False, "first")


@pytest.mark.parametrize("code", ["tenant-not-found", OPERATION_IN_PROGRESS])
async def test_a_failure_is_raised_with_its_code(wire: Wire, code: str) -> None:
    """The second one is another operation, or a deletion that Alga's own worker has open."""
    wire.script.failures[BEGIN_DELETION_ACTIVITY] = [error_of(code)]
    parent = await wire.start()
    failure = await failure_of(parent)
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.message) == (code, "refused by the test")
    state = await parent.query("getDeletionState")
    assert (state["step"], state["status"], state["error"]) == ("failed", "failed", "refused by the test")


@pytest.mark.parametrize("client", ["dev"], indirect=True)
async def test_a_terminated_deletion_is_a_failure(wire: Wire) -> None:
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    await shows(parent, status="awaiting_confirmation")
    await deletion.terminate("by hand")
    failure = await failure_of(parent)
    assert isinstance(failure, ApplicationError)
    assert failure.type == ENDED_OUTSIDE


@ON_BOTH_SERVERS
async def test_a_cancel_in_temporal_undoes_the_deletion(wire: Wire) -> None:
    parent = await wire.start()
    await shows(parent, status="awaiting_confirmation")
    await parent.cancel()
    result = await parent.result()
    assert (result["success"], result["status"]) == (True, "rolled_back")
    assert len(wire.script.closings) == 1
