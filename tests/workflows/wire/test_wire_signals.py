"""Confirmations and rollbacks by Alga's client."""

from typing import Any

import pytest
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS
from tests.workflows.observing import check_replay, reaches, snapshot_of
from tests.workflows.wire.wire import (
    ADA,
    Wire,
    error_of,
    shows,
    skip,
    warned,
)
from workflows.operations.messages import UNKNOWN_CALLER
from workflows.operations.statuses import OperationStatus
from workflows.tenants.deletions.deletion import CONFIRMATION_REFUSED, REACTIVATION_REFUSED
from workflows.tenants.steps import (
    PURGE_ACTIVITY,
)

pytestmark = pytest.mark.anyio


@ON_BOTH_SERVERS
async def test_a_rollback_is_a_success_and_names_who_asked_for_it(wire: Wire, replayer: Replayer) -> None:
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    await shows(parent, status="awaiting_confirmation")
    await parent.signal("rollbackDeletion", {"reason": "paid again", "rolledBackBy": ADA})
    result = await parent.result()
    assert (result["success"], result["status"]) == (True, "rolled_back")
    [cancellation] = wire.script.cancellations
    assert cancellation is not None
    assert (cancellation.by, cancellation.claimed_by) == (None, ADA)
    state = await parent.query("getState")
    assert (state["status"], state["rollbackReason"], state["rolledBackBy"]) == ("rolled_back", "paid again", ADA)
    snapshot = await snapshot_of(wire.as_we_see(deletion))
    assert (snapshot.status, snapshot.cancelled_by) == (OperationStatus.CANCELLED, UNKNOWN_CALLER)
    for handle in (parent, deletion):
        await check_replay(wire.as_we_see(handle), replayer)


async def test_signals_to_the_deletion_itself_work_as_well(wire: Wire) -> None:
    """Alga's screens know its id from their own table."""
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    await deletion.signal("confirmDeletion", {"type": "30_days", "confirmedBy": "extension:7"})
    state = await shows(parent, status="confirmed", step="waiting_for_deletion_date")
    assert (state["confirmationType"], state["confirmedBy"]) == ("30_days", "extension:7")
    await deletion.signal("rollbackDeletion", {"reason": "paid again"})
    assert (await parent.result())["status"] == "rolled_back"


async def test_signals_that_come_with_the_start_are_passed_on(wire: Wire) -> None:
    rollback = {"reason": "by mistake", "rolledBackBy": ADA}
    parent = await wire.start(start_signal="rollbackDeletion", start_signal_args=[rollback])
    assert (await parent.result())["status"] == "rolled_back"


async def test_a_refused_confirmation_is_a_warning_and_a_rollback_still_works(wire: Wire) -> None:
    wire.script.wire_refusal = "DELETION_TWO_PERSON is on"
    parent = await wire.start()
    deletion = wire.as_we_see(await wire.deletion_of(parent))
    await parent.signal("confirmDeletion", {"type": "immediate"})
    assert (await warned(deletion, CONFIRMATION_REFUSED)).detail == "DELETION_TWO_PERSON is on"
    await skip(wire, days=91)
    snapshot = await reaches(deletion, OperationStatus.NEEDS_ATTENTION)
    assert [warning.code for warning in snapshot.warnings].count(CONFIRMATION_REFUSED) == 1
    state = await shows(parent, status="awaiting_confirmation")
    assert "was not confirmed for 90 days" in state["error"]
    await parent.signal("rollbackDeletion", {"reason": "enough"})
    assert (await parent.result())["status"] == "rolled_back"


@pytest.mark.parametrize("argument", [{"type": "at once"}, {"confirmedBy": ADA}, None, "immediate", ["immediate"]])
async def test_a_confirmation_that_can_not_be_read_is_a_warning(wire: Wire, argument: Any) -> None:
    parent = await wire.start()
    deletion = wire.as_we_see(await wire.deletion_of(parent))
    await parent.signal("confirmDeletion", argument)
    warning = await warned(deletion, CONFIRMATION_REFUSED)
    assert (warning.field, wire.script.confirmations) == ("type", [])
    await parent.signal("rollbackDeletion", argument)
    assert (await parent.result())["status"] == "rolled_back"


async def test_the_first_confirmation_counts_and_a_second_one_is_a_warning(wire: Wire) -> None:
    parent = await wire.start()
    deletion = wire.as_we_see(await wire.deletion_of(parent))
    await parent.signal("confirmDeletion", {"type": "30_days"})
    await shows(parent, status="confirmed")
    await parent.signal("confirmDeletion", {"type": "immediate"})
    await warned(deletion, CONFIRMATION_REFUSED)
    assert [given.type for given in wire.script.confirmations] == ["30_days"]
    assert wire.script.purged_at is None
    await parent.signal("rollbackDeletion")
    await parent.result()


async def test_a_rollback_with_a_payment_is_refused_and_an_operator_decides_before_the_purge(wire: Wire) -> None:
    parent = await wire.start()
    deletion = wire.as_we_see(await wire.deletion_of(parent))
    await parent.signal("confirmDeletion", {"type": "30_days"})
    await shows(parent, status="confirmed")
    payment = {"stripeCustomerId": "cus_1", "stripeSubscriptionId": "sub_1", "stripePriceId": "price_1"}
    await parent.signal("rollbackDeletion", {"reason": "paid", "rolledBackBy": ADA, "reactivation": payment})
    assert (await warned(deletion, REACTIVATION_REFUSED)).field == "reactivation"
    assert (await snapshot_of(deletion)).status is OperationStatus.WAITING
    await skip(wire, days=31)
    parked = await reaches(deletion, OperationStatus.NEEDS_ATTENTION)
    assert parked.error is not None
    assert (parked.error.code, parked.error.field) == (REACTIVATION_REFUSED, "reactivation")
    await parent.signal("confirmDeletion", {"type": "immediate"})
    await warned(deletion, CONFIRMATION_REFUSED)
    assert (wire.script.closings, wire.script.purged_at) == ([], None)
    await deletion.signal("resume")
    assert (await parent.result())["status"] == "deleted"


async def test_an_operator_may_undo_after_a_payment_as_well(wire: Wire) -> None:
    parent = await wire.start()
    await parent.signal("rollbackDeletion", {"reactivation": {"stripeCustomerId": "cus_1"}})
    await warned(wire.as_we_see(await wire.deletion_of(parent)), REACTIVATION_REFUSED)
    await parent.signal("rollbackDeletion", {"reason": "linked by hand"})
    assert (await parent.result())["status"] == "rolled_back"


async def test_an_error_of_the_purge_is_shown_and_the_deletion_can_still_be_undone(wire: Wire) -> None:
    wire.script.failures[PURGE_ACTIVITY] = [error_of("constraint-violation")]
    parent = await wire.start()
    await parent.signal("confirmDeletion", {"type": "immediate"})
    state = await shows(parent, status="deleting", step="deleting_tenant_data", error="refused by the test")
    assert "rollbackReason" not in state
    await parent.signal("rollbackDeletion", {"reason": "enough"})
    assert (await parent.result())["status"] == "rolled_back"
