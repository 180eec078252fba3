"""What must hold for each tenant that was asked for, whatever happened meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from activities.alga.passwords import PasswordHasher
from tests.chaos.checks.evidence import Baseline, Evidence, Operation
from tests.chaos.checks.ledger import Answer, Call, Entry, Ledger
from tests.chaos.checks.on_call import FINAL
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.clients import changed_company, company
from tests.chaos.stack import SECRET, TASK_TIMEOUT

# A cancel or the end of a workflow is seen before the commit or between two workflow tasks; some machines are slow.
LATE = 5 * TASK_TIMEOUT
ENDED_OUTSIDE = "ended-outside"
# A row says that an operation has ended before anybody else can.
CLOCK_SLACK = 0.5
GATEWAY = "gateway"
"""Who cancels a start of which the caller was told that it had failed."""

CREATED = 201
CONFLICT = 409
OUTAGES = {503, 504}
"""The first says that nothing was done, the second that nobody knows."""
REFUSALS = {400, 401, 403, 404, 405, 415, 422}
"""What no caller of a run deserves."""


@dataclass(frozen=True)
class Case:
    """One tenant that was asked for, its operations, and everything else that is known."""

    ledger: Ledger
    entry: Entry
    operations: tuple[Operation, ...]
    baseline: Baseline
    evidence: Evidence

    def violations(self) -> Iterator[Violation]:
        """Everything that is wrong with it."""
        for check in (answers_are_right, there_is_one_operation, a_refusal_holds):
            yield from check(self)
        for operation in self.operations[:1]:
            for check_operation in OPERATION_CHECKS:
                yield from check_operation(self, operation)

    def wrong(self, kind: Wrong, text: str) -> Violation:
        """A violation that concerns this tenant."""
        return Violation(kind, text, self.entry)

    def rows_of(self, operation: Operation) -> dict[str, int]:
        """How many rows the operation's tenant has in each table where it has any."""
        return dict(self.evidence.books.census.get(operation.tenant_id or "", {}))


def answers_are_right(case: Case) -> Iterator[Violation]:
    """No crash, no refusal of what was right, and the same ids for everybody who sent the same key."""
    accepted = [answer for answer in case.entry.of(Call.CREATE) if answer.is_accepted]
    ids = {(answer.body["workflowId"], answer.body["tenantId"]) for answer in accepted}
    if len(ids) > 1:
        yield case.wrong(Wrong.DOUBLED, f"its callers were told of different operations: {sorted(ids)}")
    for answer in case.entry.answers:
        if answer.call is not Call.TERMINATE and _is_undeserved(answer):
            told = f"{answer.label} {answer.body.get('code')}"
            yield case.wrong(Wrong.UNTRUE, f"{answer.call} at {answer.at:.1f} s was answered {told}")


def there_is_one_operation(case: Case) -> Iterator[Violation]:
    """What was accepted is there, and once."""
    if case.entry.is_accepted and not case.operations:
        yield case.wrong(Wrong.LOST, "was accepted, and there is no operation")
    if len(case.operations) > 1:
        ids = ", ".join(f"{item.workflow_id} {item.run_id} ({item.status})" for item in case.operations)
        yield case.wrong(Wrong.DOUBLED, f"has {len(case.operations)} operations: {ids}")


def a_refusal_holds(case: Case) -> Iterator[Violation]:
    """Whoever was told that nothing was done finds nothing done."""
    if not case.entry.is_refused:
        return
    for operation in case.operations:
        rows = sum(case.rows_of(operation).values())
        if rows or operation.status not in {"cancelled", "failed"}:
            told = ", ".join(answer.label for answer in case.entry.creations)
            yield case.wrong(Wrong.UNTRUE, f"was refused ({told}), and is {operation.status} with {rows} rows")


def documents_agree(case: Case, operation: Operation) -> Iterator[Violation]:
    """Both gateways say what the row says, and what they said of an ended operation before."""
    watched = case.evidence.watched.get(operation.workflow_id)
    if watched is not None and watched["status"] in FINAL and watched["status"] != operation.status:
        yield case.wrong(Wrong.UNTRUE, f"was seen {watched['status']}, and later {operation.status}")
    for number, document in enumerate(case.evidence.documents.get(operation.workflow_id, ()), start=1):
        if document is None:
            yield case.wrong(Wrong.UNTRUE, f"gateway {number} does not know it, its row is {operation.status}")
            continue
        for name, told, written in (
            ("status", document["status"], operation.status),
            ("tenant", document["tenantId"], operation.tenant_id),
            ("error", document["error"] and document["error"]["code"], operation.error_code),
            ("result", document["result"] and document["result"]["tenantId"], operation.result_tenant),
        ):
            if told != written:
                yield case.wrong(Wrong.UNTRUE, f"gateway {number} tells {name} {told!r}, its row {written!r}")


def the_ending_has_a_reason(case: Case, operation: Operation) -> Iterator[Violation]:
    """An operation ends as its callers made it end; an outage is no reason to give up."""
    entry, status, code = case.entry, operation.status, operation.error_code
    if status not in FINAL and status != "needs_attention":
        yield case.wrong(Wrong.UNSETTLED, f"is still {status} ({code})")
    if code == ENDED_OUTSIDE and status not in FINAL:
        yield case.wrong(Wrong.UNSETTLED, f"its workflow ended outside, and it is {status}: nothing is to be done")
    if code == ENDED_OUTSIDE and not entry.is_terminated:
        yield case.wrong(Wrong.LOST, "its workflow ended outside, and nobody ended it")
    if status == "failed" and code not in {ENDED_OUTSIDE, "duplicate-email" if entry.plan.shares_email else None}:
        yield case.wrong(Wrong.LOST, f"failed without a reason of its own: {operation.error}")
    is_taken_back = operation.cancelled_by == GATEWAY and not entry.is_accepted
    if status == "cancelled" and not entry.of(Call.CANCEL) and not is_taken_back:
        yield case.wrong(Wrong.LOST, f"was cancelled by {operation.cancelled_by}, and no caller asked for it")


def the_end_of_a_terminated_workflow_is_told(case: Case, operation: Operation) -> Iterator[Violation]:
    """What reconciling finds committed is completed with a warning that the workflow was terminated."""
    documents = case.evidence.documents.get(operation.workflow_id, ())
    is_told = all(document["warnings"] for document in documents if document is not None)
    if operation.status != "completed" or operation.finished_at is None or is_told:
        return
    ended_at = case.ledger.seconds_at(operation.finished_at)
    terminated = [answer.at for answer in case.entry.of(Call.TERMINATE) if answer.is_accepted]
    # A commit that the termination just missed completes the operation by itself.
    if terminated and ended_at - min(terminated) > LATE:
        yield case.wrong(Wrong.UNTRUE, "completed long after its workflow had been terminated, and has no warning")


def what_was_told_came_true(case: Case, operation: Operation) -> Iterator[Violation]:
    """A cancel that was accepted in time stops the operation, unless the commit comes first; what ended had ended."""
    if operation.finished_at is None:
        return
    ended_at = case.ledger.seconds_at(operation.finished_at)
    cancels = [answer.at for answer in case.entry.of(Call.CANCEL) if answer.is_accepted]
    if operation.status == "completed" and cancels and ended_at - min(cancels) > LATE:
        yield case.wrong(Wrong.LOST, f"completed {ended_at - min(cancels):.0f} s after its cancel had been accepted")
    for answer in case.entry.answers:
        is_said_to_have_ended = answer.status == CREATED or (
            answer.body.get("code") == "operation-finished" and not case.entry.is_terminated
        )
        if is_said_to_have_ended and ended_at > answer.at + CLOCK_SLACK:
            yield case.wrong(
                Wrong.UNTRUE, f"{answer.call} at {answer.at:.1f} s was told that it had ended, at {ended_at:.1f} s"
            )
        if answer.status == CREATED and operation.status != "completed":
            yield case.wrong(Wrong.UNTRUE, f"was answered 201, and is {operation.status}")


def all_rows_or_none(case: Case, operation: Operation) -> Iterator[Violation]:
    """A completed tenant has the rows of one that nothing disturbed; any other has none, also while it waits."""
    rows = case.rows_of(operation)
    expected = case.baseline.rows_of(case.entry.plan.profile)
    missing, more = _difference(expected, rows), _difference(rows, expected)
    if rows and missing:
        yield case.wrong(Wrong.PARTIAL, f"{operation.status}, and has some of its rows; it lacks {missing}")
    if operation.status != "completed":
        if rows:
            yield case.wrong(Wrong.LEFT, f"{operation.status}, and has rows: {_in_words(rows)}")
    elif not rows:
        yield case.wrong(Wrong.LOST, "completed, and has no rows")
    elif more:
        yield case.wrong(Wrong.DOUBLED, f"completed, and has more rows than an undisturbed one: {more}")


def the_tenant_is_as_asked_for(case: Case, operation: Operation) -> Iterator[Violation]:
    """The company has its last accepted name, and the administrator gets in with the password."""
    if operation.status != "completed":
        return
    name = case.evidence.books.companies.get(operation.tenant_id or "")
    if name not in (names := _possible_companies(case.entry)):
        yield case.wrong(Wrong.LOST, f"its company is called {name!r}, not {' or '.join(sorted(names))!r}")
    users = [user for user in case.evidence.books.users if user.tenant_id == operation.tenant_id]
    if [user.email for user in users] != [case.entry.plan.email.lower()]:
        yield case.wrong(Wrong.LOST, f"its users are {[user.email for user in users]}")
        return
    chosen = {case.entry.plan.password} if case.entry.plan.password is not None else set()
    hasher = PasswordHasher(SECRET)
    if not all(hasher.verify(word, users[0].hashed_password) for word in case.entry.temporary_passwords | chosen):
        yield case.wrong(Wrong.UNTRUE, "its administrator can't get in with the password that was chosen or answered")


OPERATION_CHECKS: tuple[Callable[[Case, Operation], Iterator[Violation]], ...] = (
    documents_agree,
    the_ending_has_a_reason,
    the_end_of_a_terminated_workflow_is_told,
    what_was_told_came_true,
    all_rows_or_none,
    the_tenant_is_as_asked_for,
)


def _is_undeserved(answer: Answer) -> bool:
    if answer.status is None:
        return False
    is_crash = answer.status >= 500 and answer.status not in OUTAGES
    return is_crash or answer.status in REFUSALS or (answer.call is Call.CREATE and answer.status == CONFLICT)


def _difference(rows: Mapping[str, int], others: Mapping[str, int]) -> str:
    """By how many rows the first have more than the others, table by table."""
    return _in_words({table: count - others.get(table, 0) for table, count in rows.items()})


def _in_words(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {table}" for table, count in sorted(rows.items()) if count > 0)


def _possible_companies(entry: Entry) -> set[str]:
    changes = entry.of(Call.CHANGE)
    if any(answer.is_accepted for answer in changes):
        return {changed_company(entry)}
    if any(answer.was_sent and not answer.is_final for answer in changes):
        return {company(entry), changed_company(entry)}
    return {company(entry)}
