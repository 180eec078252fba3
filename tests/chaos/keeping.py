"""Saves what explains a violation: responses, row, document and history of each operation."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.chaos.checks.ledger import Entry
from tests.chaos.run import Outcome
from tests.chaos.stack import Servers


async def keep(outcome: Outcome, servers: Servers, folder: Path) -> None:
    """Write a file for each tenant with a violation, and one for each run of its workflow, to an existing folder."""
    client = await Client.connect(servers.temporal.address)
    wrong = {id(item.entry): item.entry for item in outcome.violations if item.entry is not None}
    for entry in wrong.values():
        file = folder / f"tenant-{entry.plan.number}.json"
        file.write_text(json.dumps(_told(entry, outcome), indent=2, default=str))
        async for run in client.list_workflows(f"WorkflowId = '{entry.workflow_id}'"):
            history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            (folder / f"tenant-{entry.plan.number}.{run.run_id}.json").write_text(history.to_json())


def _told(entry: Entry, outcome: Outcome) -> dict[str, Any]:
    operations = [item for item in outcome.evidence.books.operations if item.tenant_name == entry.name]
    return {
        "wrong": [str(item) for item in outcome.violations if item.entry is entry],
        "plan": asdict(entry.plan),
        "results": [asdict(result) for result in entry.results],
        "operations": [asdict(operation) for operation in operations],
        "documents": outcome.evidence.documents.get(str(entry.workflow_id)),
    }
