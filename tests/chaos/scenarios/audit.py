"""The part of the audit that concerns what happened to tenants after their creation."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.chaos.checks.evidence import Evidence, Operation
from tests.chaos.checks.ledger import Entry, Ledger
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.scenarios import operation_checks, tenant_checks
from tests.chaos.scenarios.case import EXPORT, ScenarioCase

CHECKS: tuple[Callable[[ScenarioCase], Iterator[Violation]], ...] = (
    operation_checks.responses_are_right,
    operation_checks.each_request_is_one_operation,
    operation_checks.one_operation_at_a_time,
    operation_checks.operations_end_with_a_reason,
    operation_checks.deletions_are_confirmed_and_not_undone,
    operation_checks.gateways_agree,
    tenant_checks.the_end_is_as_planned,
    tenant_checks.all_rows_or_none,
    tenant_checks.a_suspended_tenant_is_suspended,
    tenant_checks.each_deletion_has_its_row,
    tenant_checks.a_deletion_is_proven,
)


class ScenarioAudit:
    """The checks of scenarios, and of the tenants that have none."""

    def __init__(self, ledger: Ledger, evidence: Evidence) -> None:
        self._ledger = ledger
        self._evidence = evidence
        began = {run.workflow_id: run.started_at for run in evidence.executions}
        self._operations: dict[str, list[Operation]] = defaultdict(list)
        for operation in evidence.books.operations:
            if not operation.is_creation:
                self._operations[str(operation.tenant_id)].append(operation)
        for operations in self._operations.values():
            operations.sort(key=lambda operation: began.get(operation.workflow_id, operation.started_at))

    def cases(self) -> Iterator[ScenarioCase]:
        """Return the tenants whose scenario has begun."""
        for entry in self._ledger.entries:
            scenario, before = entry.plan.scenario, entry.before
            if scenario is None or before is None or not entry.is_begun:
                continue
            operations = self._operations.get(entry.tenant_id, [])
            yield ScenarioCase(
                ledger=self._ledger,
                entry=entry,
                scenario=scenario,
                before=before,
                operations=tuple(operation for operation in operations if operation.kind != EXPORT),
                exports=tuple(operation for operation in operations if operation.kind == EXPORT),
                evidence=self._evidence,
            )

    def violations(self) -> Iterator[Violation]:
        """Return all violations."""
        cases = list(self.cases())
        for case in cases:
            for check in CHECKS:
                yield from check(case)
        yield from self._requested_by_no_one({case.entry.tenant_id for case in cases})
        for entry in self._ledger.entries:
            if not entry.is_begun and entry.before is not None:
                yield from self._is_untouched(entry)
        for text in self._evidence.trail_breaks:
            yield Violation(Wrong.UNPROVEN, f"the audit trail is broken: {text}")

    def _requested_by_no_one(self, requested: set[str]) -> Iterator[Violation]:
        """Find operations and proofs of deletions of tenants that no caller has touched."""
        books = self._evidence.books.lifecycle
        for what, found in (
            ("operations", self._operations.keys()),
            ("deletions", {row.tenant_id for row in books.deletions}),
            ("certificates", {row.tenant_id for row in books.certificates}),
            ("purges", set(books.purges)),
            *((f"rows in {table}", tenants) for table, tenants in books.suspended.items()),
        ):
            for tenant_id in sorted(found - requested):
                yield Violation(Wrong.DOUBLED, f"tenant {tenant_id} has {what}, and no caller asked for them")

    def _is_untouched(self, entry: Entry) -> Iterator[Violation]:
        """Check that a tenant whose scenario has not begun has the same rows as before, byte for byte."""
        rows, before = self._evidence.books.lifecycle.rows.get(entry.tenant_id), entry.before
        changed = rows.changed_since(before, is_suspended=False) if rows is not None and before is not None else []
        if changed:
            yield Violation(
                Wrong.CHANGED, f"it was left alone, and its rows have changed in {', '.join(changed)}", entry
            )
