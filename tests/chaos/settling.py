"""Waits until a run's operations have settled: each has ended or waits for a person, and its row says so."""

from collections.abc import Mapping

from tests.chaos.checks.evidence import Operation, connected, list_executions, read_operations
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.on_call import OnCall
from tests.chaos.checks.violations import Violation, Wrong
from tests.chaos.clients import Callers
from tests.chaos.scenarios.on_call import ScenarioOnCall
from tests.support.waiting import wait_until

# Another worker continues a dead worker's creation after its workflow task times out, in the worst case repeatedly.
OPERATIONS_TIMEOUT = 240.0
# Rows without a change for 20 s are compared with Temporal every few seconds.
ROWS_TIMEOUT = 60.0
POLL_SECONDS = 0.5
RUNNING = 'ExecutionStatus = "Running"'


class Settling:
    """What still changes after the chaos, first in Temporal and then in the database."""

    def __init__(
        self,
        ledger: Ledger,
        callers: Callers,
        on_call: OnCall,
        scenario_on_call: ScenarioOnCall,
        database_url: str,
    ) -> None:
        self._ledger = ledger
        self._callers = callers
        self._on_call = on_call
        self._scenario_on_call = scenario_on_call
        self._database_url = database_url
        self._unsettled: list[Violation] = []

    async def wait(self) -> list[Violation]:
        """Return when nothing changes any more, or what still changes after a generous timeout."""
        for condition, timeout in ((self._operations_settled, OPERATIONS_TIMEOUT), (self._rows_agree, ROWS_TIMEOUT)):
            try:
                await wait_until(condition, timeout=timeout, every=POLL_SECONDS)
            except TimeoutError:
                return self._unsettled
        return []

    async def _operations_settled(self) -> bool:
        rows = await self._rows()
        self._learn(rows)
        await self._on_call.look()
        await self._scenario_on_call.look()
        found = [
            Violation(Wrong.UNSETTLED, f"is {self._on_call.status_of(entry)}", entry)
            for entry in self._ledger.entries
            if entry.workflow_id is not None and not self._on_call.cannot_change(entry)
        ]
        found += [
            Violation(Wrong.UNSETTLED, f"{row.workflow_id} is {row.status}")
            for row in rows.values()
            if not row.is_creation and row.finished_at is None
        ]
        parked = {entry.workflow_id for entry in self._ledger.entries if self._on_call.cannot_change(entry)}
        running = await list_executions(await self._callers.temporal(), RUNNING)
        found += [
            Violation(Wrong.UNSETTLED, f"workflow {run.workflow_id} runs")
            for run in running
            if run.workflow_id not in parked
        ]
        self._unsettled = found
        return not found

    async def _rows_agree(self) -> bool:
        rows = await self._rows()
        self._unsettled = []
        for entry in self._ledger.entries:
            if entry.workflow_id is None:
                continue
            row = rows.get(entry.workflow_id)
            shown, written = self._on_call.status_of(entry), row.status if row else "missing"
            if shown != written:
                self._unsettled.append(Violation(Wrong.UNSETTLED, f"is {shown}, its row {written}", entry))
        return not self._unsettled

    async def _rows(self) -> Mapping[str, Operation]:
        async with connected(self._database_url) as connection:
            return {operation.workflow_id: operation for operation in await read_operations(connection)}

    def _learn(self, rows: Mapping[str, Operation]) -> None:
        """Find the operations of callers whose start got no response."""
        entries = self._ledger.by_name()
        for operation in rows.values():
            if not operation.is_creation:
                continue
            entry = entries.get(operation.tenant_name)
            if entry is not None and entry.workflow_id is None:
                entry.workflow_id = operation.workflow_id
