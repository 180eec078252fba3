"""A tenant with a scenario, and everything that is known about it after the run."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.checks.evidence import Evidence, Operation
from tests.chaos.checks.ledger import CallResult, Entry, Ledger
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.scenarios.evidence import Certificate, Deletion
from tests.chaos.scenarios.plan import Act, End, Scenario, Step
from tests.chaos.scenarios.tenants import TenantRows

DELETION, EXPORT = "tenant_deletion", "tenant_export"
KINDS = {"tenant_suspension": Act.SUSPEND, "tenant_reactivation": Act.REACTIVATE, DELETION: Act.DELETE}
ENDS = {"tenant_suspension": End.SUSPENDED, "tenant_reactivation": End.ACTIVE, DELETION: End.DELETED}
COMPLETED = "completed"
GATEWAY_TIMEOUT = 504


@dataclass(frozen=True)
class ScenarioCase:
    """The tenant of an entry whose scenario has begun, with its rows of `before`.

    `operations` are its suspensions, reactivations and deletions in order, `exports` those of the deletions.
    """

    ledger: Ledger
    entry: Entry
    scenario: Scenario
    before: TenantRows
    operations: tuple[Operation, ...]
    exports: tuple[Operation, ...]
    evidence: Evidence

    def wrong(self, kind: Wrong, text: str) -> Violation:
        """Return a violation that concerns this tenant."""
        return Violation(kind, f"{self.scenario.name}: {text}", self.entry)

    @property
    def rows(self) -> TenantRows:
        """The tenant's rows after the run."""
        return self.evidence.books.lifecycle.rows[self.entry.tenant_id]

    @property
    def deletions(self) -> Iterator[Operation]:
        """The operations that are deletions."""
        return (operation for operation in self.operations if operation.kind == DELETION)

    @property
    def records(self) -> list[Deletion]:
        """The tenant's rows in `deletions`."""
        return [row for row in self.evidence.books.lifecycle.deletions if row.tenant_id == self.entry.tenant_id]

    @property
    def certificates(self) -> list[Certificate]:
        """The tenant's certificates."""
        return [row for row in self.evidence.books.lifecycle.certificates if row.tenant_id == self.entry.tenant_id]

    @property
    def end(self) -> End:
        """How the tenant is by its operations."""
        end = End.ACTIVE
        for operation in self.operations:
            if operation.status == COMPLETED:
                end = ENDS[operation.kind]
        return end

    def step_of(self, operation: Operation) -> Step | None:
        """Return the step that requested a deletion, by the responses."""
        for result in self.entry.did(Act.DELETE):
            if result.body.get("workflowId") == operation.workflow_id:
                return self.entry.steps[result.step]
        return None

    def is_repeated(self, result: CallResult) -> bool:
        """Return whether an earlier request of the step may have had an effect, without a response that says so."""
        return any(
            earlier.was_sent and earlier.status in {None, GATEWAY_TIMEOUT}
            for earlier in self.entry.did(*Act)
            if earlier.call is result.call and earlier.step == result.step and earlier.sent_at < result.at
        )
