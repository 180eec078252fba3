"""What must hold for each requested tenant, whatever happened in the meantime."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from activities.alga.passwords import PasswordHasher
from tests.chaos.checks.evidence import Baseline, Evidence, Operation
from tests.chaos.checks.ledger import Call, CallResult, Entry, Ledger
from tests.chaos.checks.on_call import FINAL
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.clients import changed_company, company
from tests.chaos.scenarios.tenants import Birth, User
from tests.chaos.stack import SECRET, TASK_TIMEOUT

# Cancels and terminations take effect before the commit or between two workflow tasks; some machines are slow.
LATE = 5 * TASK_TIMEOUT
ENDED_OUTSIDE = "ended-outside"
# The row is the first to show that an operation ended.
CLOCK_SLACK = 0.5
GATEWAY = "gateway"
"""The gateway, which cancels a start after an error response."""

CREATED = 201
CONFLICT = 409
OUTAGES = {503, 504}
"""503 means that the call had no effect, 504 that its effect is unknown."""
REFUSALS = {400, 401, 403, 404, 405, 415, 422}
"""No caller of a run sends a request that deserves these."""


@dataclass(frozen=True)
class Case:
    """A requested tenant with its operations and everything else that is known about it."""

    ledger: Ledger
    entry: Entry
    operations: tuple[Operation, ...]
    baseline: Baseline
    evidence: Evidence

    def violations(self) -> Iterator[Violation]:
        """Return all violations."""
        for check in (results_are_right, there_is_one_operation, a_refusal_holds):
            yield from check(self)
        for operation in self.operations[:1]:
            for check_operation in OPERATION_CHECKS:
                yield from check_operation(self, operation)

    def wrong(self, kind: Wrong, text: str) -> Violation:
        """Return a violation that concerns this tenant."""
        return Violation(kind, text, self.entry)

    @property
    def birth(self) -> Birth | None:
        """The created tenant, if a scenario has changed it since."""
        return self.entry.birth if self.entry.plan.scenario is not None else None

    def company_of(self, operation: Operation) -> str | None:
        """Return the name of its tenant's company."""
        if self.birth is not None:
            return self.birth.company
        return self.evidence.books.companies.get(operation.tenant_id or "")

    def users_of(self, operation: Operation) -> tuple[User, ...]:
        """Return its tenant's internal users."""
        if self.birth is not None:
            return self.birth.users
        return tuple(user for user in self.evidence.books.users if user.tenant_id == operation.tenant_id)

    def rows_of(self, operation: Operation) -> dict[str, int]:
        """Return its tenant's number of rows by table, for tables where it has any; before its scenario, if any."""
        if self.birth is not None:
            return dict(self.birth.rows)
        return dict(self.evidence.books.census.get(operation.tenant_id or "", {}))


def results_are_right(case: Case) -> Iterator[Violation]:
    """Check for no crash, no rejection of a valid request, and equal ids for equal keys."""
    accepted = [result for result in case.entry.of(Call.CREATE) if result.is_accepted]
    ids = {(result.body["workflowId"], result.body["tenantId"]) for result in accepted}
    if len(ids) > 1:
        yield case.wrong(Wrong.DOUBLED, f"its callers got different operations: {sorted(ids)}")
    for result in case.entry.results:
        if result.call is not Call.TERMINATE and _is_undeserved(result):
            response = f"{result.label} {result.body.get('code')}"
            yield case.wrong(Wrong.UNTRUE, f"{result.call} at {result.at:.1f} s got the response {response}")


def there_is_one_operation(case: Case) -> Iterator[Violation]:
    """Check that an accepted request has exactly one operation."""
    if case.entry.is_accepted and not case.operations:
        yield case.wrong(Wrong.LOST, "was accepted, and there is no operation")
    if len(case.operations) > 1:
        ids = ", ".join(f"{item.workflow_id} {item.run_id} ({item.status})" for item in case.operations)
        yield case.wrong(Wrong.DOUBLED, f"has {len(case.operations)} operations: {ids}")


def a_refusal_holds(case: Case) -> Iterator[Violation]:
    """Check that a rejected request had no effect."""
    if not case.entry.is_refused:
        return
    for operation in case.operations:
        rows = sum(case.rows_of(operation).values())
        if rows or operation.status not in {"cancelled", "failed"}:
            responses = ", ".join(result.label for result in case.entry.creations)
            yield case.wrong(Wrong.UNTRUE, f"was rejected ({responses}), and is {operation.status} with {rows} rows")


def documents_agree(case: Case, operation: Operation) -> Iterator[Violation]:
    """Check that both gateways agree with the row, and with what they said earlier of an ended operation."""
    watched = case.evidence.watched.get(operation.workflow_id)
    if watched is not None and watched["status"] in FINAL and watched["status"] != operation.status:
        yield case.wrong(Wrong.UNTRUE, f"was seen {watched['status']}, and later {operation.status}")
    for number, document in enumerate(case.evidence.documents.get(operation.workflow_id, ()), start=1):
        if document is None:
            yield case.wrong(Wrong.UNTRUE, f"gateway {number} does not know it, its row is {operation.status}")
            continue
        for name, shown, written in (
            ("status", document["status"], operation.status),
            ("tenant", document["tenantId"], operation.tenant_id),
            ("error", document["error"] and document["error"]["code"], operation.error_code),
            ("result", document["result"] and document["result"]["tenantId"], operation.result_tenant),
        ):
            if shown != written:
                yield case.wrong(Wrong.UNTRUE, f"gateway {number} shows {name} {shown!r}, its row {written!r}")


def the_ending_has_a_reason(case: Case, operation: Operation) -> Iterator[Violation]:
    """Check that callers explain how an operation ended; an outage is no reason to fail."""
    entry, status, code = case.entry, operation.status, operation.error_code
    if status not in FINAL and status != "needs_attention":
        yield case.wrong(Wrong.UNSETTLED, f"is still {status} ({code})")
    if code == ENDED_OUTSIDE and status not in FINAL:
        yield case.wrong(Wrong.UNSETTLED, f"its workflow ended outside, and it is {status}: nothing is to be done")
    if code == ENDED_OUTSIDE and not entry.is_terminated:
        yield case.wrong(Wrong.LOST, "its workflow was ended in Temporal, but no caller did so")
    if status == "failed" and code not in {ENDED_OUTSIDE, "duplicate-email" if entry.plan.shares_email else None}:
        yield case.wrong(Wrong.LOST, f"failed without a reason of its own: {operation.error}")
    is_taken_back = operation.cancelled_by == GATEWAY and not entry.is_accepted
    if status == "cancelled" and not entry.of(Call.CANCEL) and not is_taken_back:
        yield case.wrong(Wrong.LOST, f"was cancelled by {operation.cancelled_by}, and no caller asked for it")


def terminated_workflows_leave_a_warning(case: Case, operation: Operation) -> Iterator[Violation]:
    """Check that a committed operation whose workflow was terminated completed with a warning."""
    documents = case.evidence.documents.get(operation.workflow_id, ())
    is_told = all(document["warnings"] for document in documents if document is not None)
    if operation.status != "completed" or operation.finished_at is None or is_told:
        return
    ended_at = case.ledger.seconds_at(operation.finished_at)
    terminated = [result.at for result in case.entry.of(Call.TERMINATE) if result.is_accepted]
    # If the commit came just before the termination, the operation completed by itself.
    if terminated and ended_at - min(terminated) > LATE:
        yield case.wrong(Wrong.UNTRUE, "completed long after its workflow had been terminated, and has no warning")


def accepted_cancels_take_effect(case: Case, operation: Operation) -> Iterator[Violation]:
    """Check that an accepted cancel stopped the operation unless the commit came first."""
    if operation.finished_at is None:
        return
    ended_at = case.ledger.seconds_at(operation.finished_at)
    cancels = [result.at for result in case.entry.of(Call.CANCEL) if result.is_accepted]
    if operation.status == "completed" and cancels and ended_at - min(cancels) > LATE:
        yield case.wrong(Wrong.LOST, f"completed {ended_at - min(cancels):.0f} s after its cancel had been accepted")
    for result in case.entry.results:
        is_reported_as_ended = result.status == CREATED or (
            result.body.get("code") == "operation-finished" and not case.entry.is_terminated
        )
        if is_reported_as_ended and ended_at > result.at + CLOCK_SLACK:
            yield case.wrong(
                Wrong.UNTRUE, f"{result.call} at {result.at:.1f} s reported its end, which was at {ended_at:.1f} s"
            )
        if result.status == CREATED and operation.status != "completed":
            yield case.wrong(Wrong.UNTRUE, f"got a 201, and is {operation.status}")


def all_rows_or_none(case: Case, operation: Operation) -> Iterator[Violation]:
    """Check that a completed tenant has all rows of an undisturbed one, and any other tenant none."""
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
    """Check the last accepted company name and the administrator's password."""
    if operation.status != "completed":
        return
    name = case.company_of(operation)
    if name not in (names := _possible_companies(case.entry)):
        yield case.wrong(Wrong.LOST, f"its company is called {name!r}, not {' or '.join(sorted(names))!r}")
    users = case.users_of(operation)
    if [user.email for user in users] != [case.entry.plan.email.lower()]:
        yield case.wrong(Wrong.LOST, f"its users are {[user.email for user in users]}")
        return
    chosen = {case.entry.plan.password} if case.entry.plan.password is not None else set()
    hasher = PasswordHasher(SECRET)
    if not all(hasher.verify(word, users[0].hashed_password) for word in case.entry.temporary_passwords | chosen):
        yield case.wrong(Wrong.UNTRUE, "its administrator can't get in with the password that was chosen or returned")


OPERATION_CHECKS: tuple[Callable[[Case, Operation], Iterator[Violation]], ...] = (
    documents_agree,
    the_ending_has_a_reason,
    terminated_workflows_leave_a_warning,
    accepted_cancels_take_effect,
    all_rows_or_none,
    the_tenant_is_as_asked_for,
)


def _is_undeserved(result: CallResult) -> bool:
    if result.status is None:
        return False
    is_crash = result.status >= 500 and result.status not in OUTAGES
    return is_crash or result.status in REFUSALS or (result.call is Call.CREATE and result.status == CONFLICT)


def _difference(rows: Mapping[str, int], others: Mapping[str, int]) -> str:
    """Return by how many rows the first exceeds the second, by table."""
    return _in_words({table: count - others.get(table, 0) for table, count in rows.items()})


def _in_words(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} in {table}" for table, count in sorted(rows.items()) if count > 0)


def _possible_companies(entry: Entry) -> set[str]:
    changes = entry.of(Call.CHANGE)
    if any(result.is_accepted for result in changes):
        return {changed_company(entry)}
    if any(result.was_sent and not result.is_final for result in changes):
        return {company(entry), changed_company(entry)}
    return {company(entry)}
