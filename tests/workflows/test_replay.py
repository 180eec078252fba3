import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.workflows.record_histories import CONVERTER, HISTORIES, PATHS
from tests.workflows.reordered import Reordered

pytestmark = pytest.mark.anyio


def stored(name: str) -> WorkflowHistory:
    document = json.loads((HISTORIES / f"{name}.json").read_text())
    # What is encrypted is bound to the workflow's id.
    workflow_id = document["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    return WorkflowHistory.from_json(workflow_id, document)


def test_every_path_has_a_stored_history() -> None:
    assert {file.stem for file in Path(HISTORIES).glob("*.json")} == set(PATHS)


@pytest.mark.parametrize("name", PATHS)
async def test_a_stored_history_replays(replayer: Replayer, name: str) -> None:
    await replayer.replay_workflow(stored(name))


async def test_a_replay_detects_reordered_steps() -> None:
    replayer = Replayer(workflows=[Reordered], data_converter=CONVERTER)
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(stored("success_from_gateway"))
