"""What must hold for the responses and operations of a scenario."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.checks.entry_checks import ENDED_OUTSIDE, LATE, OUTAGES
from tests.chaos.checks.evidence import Operation
from tests.chaos.checks.ledger import PASSING, CallResult
from tests.chaos.checks.on_call import FINAL
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.scenarios.case import COMPLETED, DELETION, KINDS, ScenarioCase
from tests.chaos.scenarios.plan import Act, End

NOT_FOUND, CONFLICT = 404, 409


def responses_are_right(case: ScenarioCase) -> Iterator[Violation]:
    """Check for no crash, and no rejection of a valid request."""
    for result in case.entry.acts:
        if not _is_deserved(case, result):
            response = f"{result.label} {result.body.get('code')}: {result.body.get('detail')}"
            yield case.wrong(Wrong.UNTRUE, f"{result.call} at {result.at:.1f} s got the response {response}")


def each_request_is_one_operation(case: ScenarioCase) -> Iterator[Violation]:
    """Check that each accepted step has one operation, whatever the number of its callers and repeats."""
    ids: dict[int, set[str]] = defaultdict(set)
    for result in case.entry.acts:
        if result.is_accepted and "workflowId" in result.body:
            ids[result.step].add(result.body["workflowId"])
    known = {operation.workflow_id for operation in case.operations}
    for number, found in ids.items():
        act = case.entry.steps[number].act
        if len(found) > 1:
            yield case.wrong(Wrong.DOUBLED, f"{act} got different operations: {sorted(found)}")
        if lost := found - known:
            yield case.wrong(Wrong.LOST, f"{act} was accepted, and there is no operation {sorted(lost)}")
    numbers = Counter(operation.kind for operation in case.operations)
    for kind, number in numbers.items():
        if number > case.scenario.count(KINDS[kind]):
            yield case.wrong(Wrong.DOUBLED, f"has {number} operations of kind {kind}")


def one_operation_at_a_time(case: ScenarioCase) -> Iterator[Violation]:
    """Check that no operation began before the one before it had ended."""
    began = {run.workflow_id: run.started_at for run in case.evidence.executions}
    for first, second in pairwise(case.operations):
        start = began.get(second.workflow_id)
        if first.finished_at is None or start is None or start < first.finished_at:
            text = f"{second.workflow_id} began before {first.workflow_id} had ended"
            yield case.wrong(Wrong.DOUBLED, text)


def operations_end_with_a_reason(case: ScenarioCase) -> Iterator[Violation]:
    """Check that all operations have ended, as the callers wanted; an outage is no reason to fail."""
    for operation in (*case.operations, *case.exports):
        if operation.status not in FINAL or operation.finished_at is None:
            yield case.wrong(Wrong.UNSETTLED, f"{operation.workflow_id} is {operation.status}: {operation.error}")
        elif operation.status != COMPLETED and not _is_stopped(case, operation):
            yield case.wrong(Wrong.LOST, f"{operation.workflow_id} is {operation.status}: {operation.error}")


def deletions_are_confirmed_and_not_undone(case: ScenarioCase) -> Iterator[Violation]:
    """Check that no tenant was deleted without a confirmation, too early, or after an undo had been accepted."""
    undone = [result.at for result in case.entry.did(Act.UNDO) if result.is_accepted]
    for operation in case.deletions:
        step = case.step_of(operation)
        if operation.status != COMPLETED or operation.finished_at is None or step is None:
            continue
        if not step.body.get("confirm") and not case.entry.did(Act.CONFIRM):
            yield case.wrong(Wrong.LOST, f"{operation.workflow_id} was not confirmed, and the tenant is deleted")
        if step.body.get("gracePeriodDays") != 0:
            yield case.wrong(Wrong.LOST, f"{operation.workflow_id} ended before its grace period")
        ended_at = case.ledger.seconds_at(operation.finished_at)
        if any(ended_at - at > LATE for at in undone if at > _requested_at(case, operation)):
            yield case.wrong(Wrong.LOST, f"{operation.workflow_id} completed long after its undo had been accepted")


def gateways_agree(case: ScenarioCase) -> Iterator[Violation]:
    """Check that both gateways show each operation and the tenant as the database has them."""
    for operation in (*case.operations, *case.exports):
        for number, document in enumerate(case.evidence.documents.get(operation.workflow_id, ()), start=1):
            shown = document["status"] if document is not None else None
            if shown != operation.status:
                text = f"gateway {number} shows {operation.workflow_id} as {shown}, its row is {operation.status}"
                yield case.wrong(Wrong.UNTRUE, text)
    for number, state in enumerate(case.evidence.states[case.entry.tenant_id], start=1):
        if state != case.end:
            yield case.wrong(Wrong.UNTRUE, f"gateway {number} shows the tenant as {state}, and it is {case.end}")


def _is_deserved(case: ScenarioCase, result: CallResult) -> bool:
    if result.status is None or result.is_accepted or result.call is Act.TERMINATE:
        return True
    if result.status in OUTAGES or result.body.get("code") in PASSING:
        return True
    # The effect of an earlier request explains why this one comes too late.
    is_late = case.end is End.DELETED or case.is_repeated(result)
    return result.status in {NOT_FOUND, CONFLICT} and is_late


def _is_stopped(case: ScenarioCase, operation: Operation) -> bool:
    """Return whether a caller has stopped a deletion, and with it its export."""
    if operation.kind in KINDS and operation.kind != DELETION:
        return False
    was_terminated = any(result.status != NOT_FOUND for result in case.entry.did(Act.TERMINATE))
    is_ended_outside = operation.status == "failed" and operation.error_code == ENDED_OUTSIDE
    if is_ended_outside:
        return was_terminated
    return operation.status == "cancelled" and bool(case.entry.did(Act.UNDO))


def _requested_at(case: ScenarioCase, operation: Operation) -> float:
    results = case.entry.did(Act.DELETE)
    return max(result.sent_at for result in results if result.body.get("workflowId") == operation.workflow_id)
