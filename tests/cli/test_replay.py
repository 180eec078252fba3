"""`alga-tenants replay`, on a real Temporal and on files."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker
from typer.testing import CliRunner

from app.cli import app
from app.embedded.blocking import run_blocking
from app.embedded.ports import free_port
from app.embedded.temporal import EmbeddedTemporal
from app.temporal.client import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.cli.conftest import Ran
from tests.workflows.record_histories import HISTORIES
from tests.workflows.reordered import Reordered
from tests.workflows.scripted import Script, request

SECRET = "correct horse"


def replay(*arguments: str, **environment: str) -> Ran:
    result = CliRunner(env=environment).invoke(app, ["replay", *arguments], prog_name="alga-tenants")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert SECRET not in result.output
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def queue(temporal: EmbeddedTemporal) -> dict[str, str]:
    """The environment of a task queue of the test's own."""
    return {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_TASK_QUEUE": f"replayed-{uuid4()}"}


async def leave_histories(environment: dict[str, str], workflows: list[type]) -> str:
    """One workflow that was completed, and one that was only started; returns the id of the former."""
    client = await Client.connect(environment["TEMPORAL_ADDRESS"], data_converter=DATA_CONVERTER)
    task_queue = environment["TEMPORAL_TASK_QUEUE"]
    done: WorkflowHandle[object, object] = await client.start_workflow(
        "tenantCreationWorkflow", request(), id=str(uuid4()), task_queue=task_queue
    )
    async with Worker(client, task_queue=task_queue, workflows=workflows, activities=Script().activities()):
        await done.result()
    await client.start_workflow("tenantCreationWorkflow", request(), id=str(uuid4()), task_queue=task_queue)
    await client.start_workflow("somebodyElsesWorkflow", id=str(uuid4()), task_queue=task_queue)
    query = f"TaskQueue = '{task_queue}'"
    while (await client.count_workflows(query)).count < 3 or not (  # what has ended is listed a moment later
        await client.count_workflows(f"{query} AND ExecutionStatus = 'Completed'")
    ).count:
        pass
    return done.id


def test_histories_that_this_release_made_replay(queue: dict[str, str]) -> None:
    run_blocking(leave_histories(queue, list(WORKFLOWS)))
    ran = replay("--json", **queue)
    assert (ran.code, ran.document) == (0, {"replayed": 2, "gone": 0, "incompatible": []})


def test_a_history_that_the_code_would_not_make_fails_the_check_and_is_named(queue: dict[str, str]) -> None:
    made_otherwise = run_blocking(leave_histories(queue, [Reordered]))
    ran = replay(**queue)
    assert ran.code == 1
    assert f"incompatible: {made_otherwise}" in ran.stdout
    assert "Failed decoding" in ran.stdout
    assert "Traceback" not in ran.stdout
    assert "2 histories replayed, 1 incompatible" in ran.stdout


def test_a_query_narrows_and_closed_ones_can_be_left_out(queue: dict[str, str]) -> None:
    done = run_blocking(leave_histories(queue, [Reordered]))
    assert replay("--closed=0", "--json", **queue).document["replayed"] == 1
    assert replay(f"--query=WorkflowId = '{done}'", "--json", **queue).document["replayed"] == 1


def test_the_stored_histories_replay_from_their_files() -> None:
    ran = replay(f"--file={HISTORIES}", "--json")
    assert (ran.code, ran.document["replayed"]) == (0, len(list(HISTORIES.glob("*.json"))))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"events": 5}', "\xff"])
def test_a_file_that_is_no_history_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content.encode("latin-1"))
    ran = replay(f"--file={file}")
    assert (ran.code, str(file) in ran.stderr.replace("\n", "")) == (2, True)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = replay(f"--file={tmp_path / 'nowhere.json'}")
    assert (ran.code, "nowhere.json" in ran.stderr) == (2, True)


def test_a_temporal_that_is_away_is_told() -> None:
    address = f"127.0.0.1:{free_port()}"
    ran = replay(TEMPORAL_ADDRESS=address)
    assert (ran.code, address in ran.stderr) == (5, True)


def test_the_reason_is_the_sdks_own_word(tmp_path: Path) -> None:
    document = json.loads((HISTORIES / "success.json").read_text())
    markers = [event for event in document["events"] if event["eventType"] == "EVENT_TYPE_MARKER_RECORDED"]
    first, second = (marker["markerRecordedEventAttributes"]["details"] for marker in markers[:2])
    first["data"], second["data"] = second["data"], first["data"]
    (tmp_path / "swapped.json").write_text(json.dumps(document))
    ran = replay(f"--file={tmp_path}", "--json")
    assert ran.code == 1
    assert "Nondeterminism" in ran.document["incompatible"][0]["problem"]


def test_an_exported_history_is_told_from_an_incompatible_one(tmp_path: Path, queue: dict[str, str]) -> None:
    document = json.loads((HISTORIES / "success.json").read_text())
    kept = [event for event in document["events"] if event["eventType"] != "EVENT_TYPE_MARKER_RECORDED"]
    (tmp_path / "cut.json").write_text(json.dumps({"events": kept}))
    assert replay(f"--file={tmp_path}", **queue).code == 1
