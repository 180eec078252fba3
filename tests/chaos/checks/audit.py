"""The audit: compares the final state of database, Temporal and gateways with the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.checks.entry_checks import Case
from tests.chaos.checks.evidence import Baseline, Evidence, Operation
from tests.chaos.checks.ledger import Entry, Ledger
from tests.chaos.checks.on_call import FINAL
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.scenarios.audit import ScenarioAudit


class Audit:
    """The checks of everything that must hold after a run."""

    def __init__(self, ledger: Ledger, baseline: Baseline, evidence: Evidence) -> None:
        self._ledger = ledger
        self._baseline = baseline
        self._evidence = evidence
        self._books = evidence.books
        known = {operation.workflow_id for operation in baseline.books.operations}
        self._operations: dict[str, list[Operation]] = defaultdict(list)
        for operation in self._books.operations:
            if operation.is_creation and operation.workflow_id not in known:
                self._operations[operation.tenant_name].append(operation)

    def violations(self) -> Iterator[Violation]:
        """Return all violations."""
        for entry in self._ledger.entries:
            operations = tuple(self._operations.get(entry.name, ()))
            yield from Case(self._ledger, entry, operations, self._baseline, self._evidence).violations()
        yield from self._nobody_asked_for()
        yield from self._workflows_without_a_row()
        yield from self._users_with_one_email()
        yield from self._emails_that_nobody_got()
        yield from self._changed_neighbours()
        yield from self._untrue_lists()
        yield from ScenarioAudit(self._ledger, self._evidence).violations()

    def _nobody_asked_for(self) -> Iterator[Violation]:
        """Find operations without a caller, and rows of tenants without an operation."""
        asked = {entry.name for entry in self._ledger.entries}
        for name in self._operations.keys() - asked:
            yield Violation(Wrong.DOUBLED, f"the operation of {name} has no request")
        tenants = {operation.tenant_id for operations in self._operations.values() for operation in operations}
        for tenant in self._books.census.keys() - self._baseline.books.census.keys() - tenants:
            rows = sum(self._books.census[tenant].values())
            yield Violation(Wrong.LEFT, f"tenant {tenant} has no operation, but {rows} rows")

    def _workflows_without_a_row(self) -> Iterator[Violation]:
        """Find workflows that have no row, or that run although their row says that they ended."""
        rows = {operation.workflow_id: operation for operation in self._books.operations}
        unknown = Counter(run.workflow_id for run in self._evidence.executions if run.workflow_id not in rows)
        for workflow_id, runs in unknown.items():
            yield Violation(Wrong.LOST, f"workflow {workflow_id} is in Temporal ({runs} runs), and has no row")
        for run in self._evidence.executions:
            row = rows.get(run.workflow_id)
            if run.status == "RUNNING" and row is not None and row.status in FINAL:
                yield Violation(Wrong.UNSETTLED, f"workflow {run.workflow_id} goes on, its row is {row.status}")

    def _users_with_one_email(self) -> Iterator[Violation]:
        """Find internal users that share an e-mail, across tenants."""
        for email, count in Counter(user.email for user in self._books.users).items():
            if count > 1:
                yield Violation(Wrong.DOUBLED, f"{count} internal users have the e-mail {email}")

    def _emails_that_nobody_got(self) -> Iterator[Violation]:
        """Find groups of callers who wanted the same e-mail and all failed."""
        groups: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._ledger.entries:
            if entry.plan.shares_email:
                groups[entry.plan.email].append(entry)
        for email, entries in groups.items():
            statuses = {operation.status for entry in entries for operation in self._operations.get(entry.name, ())}
            if statuses == {"failed"}:
                yield Violation(Wrong.LOST, f"all who wanted the e-mail {email} failed, each for the others' sake")

    def _changed_neighbours(self) -> Iterator[Violation]:
        """Find rows of tenants that existed before the run and are no longer byte for byte the same."""
        for table, fingerprint in self._baseline.books.others.items():
            if self._books.others.get(table) != fingerprint:
                yield Violation(Wrong.NEIGHBOURS, f"rows of others changed in {table}")

    def _untrue_lists(self) -> Iterator[Violation]:
        """Find operations and tenants that a list omits, invents, or shows differently from the database."""
        statuses = {operation.workflow_id: operation.status for operation in self._books.operations}
        for name, listed, written in (
            ("operation", self._evidence.listed_operations, statuses),
            ("tenant", self._evidence.listed_tenants, self._books.companies),
        ):
            for key in sorted(listed.keys() | written.keys()):
                if listed.get(key) != written.get(key):
                    shown = f"{listed.get(key)!r} in the list, {written.get(key)!r} in the database"
                    yield Violation(Wrong.UNTRUE, f"{name} {key} is {shown}")
