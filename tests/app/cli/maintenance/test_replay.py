"""`alga-tenants replay`, on a real Temporal and on files."""

import dataclasses
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.converter import WorkflowSerializationContext
from temporalio.service import RPCError
from temporalio.worker import Worker
from typer.testing import CliRunner

from app.cli import app
from app.embedded.binaries import temporal_program
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import free_port
from app.embedded.temporal import EmbeddedTemporal
from app.temporal.conversion import DATA_CONVERTER
from app.temporal.replay import History
from app.temporal.replay import replay as replay_histories
from app.worker.factory import WORKFLOWS
from tests.app.cli.conftest import Ran
from tests.support.servers.temporal import codec_of
from tests.workflows.record_histories import HISTORIES
from tests.workflows.record_histories import SECRET as HISTORIES_SECRET
from tests.workflows.reordered import Quoting, Reordered
from tests.workflows.scripted import Script, request

SECRET = "correct horse"


def replay(*arguments: str, **environment: str) -> Ran:
    result = CliRunner(env=environment).invoke(app, ["replay", *arguments], prog_name="alga-tenants")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert SECRET not in result.output
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def queue(temporal: EmbeddedTemporal) -> dict[str, str]:
    """The environment of a separate task queue."""
    return {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_TASK_QUEUE": f"replayed-{uuid4()}"}


async def leave_histories(environment: dict[str, str], workflows: list[type]) -> str:
    """Leave one completed and one running workflow; return the id of the former."""
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
    while (await client.count_workflows(query)).count < 3 or not (  # ended workflows are listed a moment later
        await client.count_workflows(f"{query} AND ExecutionStatus = 'Completed'")
    ).count:
        pass
    return done.id


def test_histories_of_this_release_replay(queue: dict[str, str]) -> None:
    run_blocking(leave_histories(queue, list(WORKFLOWS)))
    ran = replay("--json", **queue)
    assert (ran.code, ran.document) == (0, {"replayed": 2, "gone": 0, "incompatible": []})


def test_an_incompatible_history_fails_the_check_and_is_named(queue: dict[str, str]) -> None:
    made_otherwise = run_blocking(leave_histories(queue, [Reordered]))
    ran = replay(**queue)
    assert ran.code == 1
    assert f"incompatible: {made_otherwise} (tenantCreationWorkflow, run " in ran.stdout
    assert "Failed decoding" in ran.stdout
    assert "Traceback" not in ran.stdout
    assert "2 histories replayed, 1 incompatible" in ran.stdout


def test_a_query_selects_and_closed_ones_can_be_excluded(queue: dict[str, str]) -> None:
    done = run_blocking(leave_histories(queue, [Reordered]))
    assert replay("--closed=0", "--json", **queue).document["replayed"] == 1
    assert replay(f"--query=WorkflowId = '{done}'", "--json", **queue).document["replayed"] == 1


def test_the_stored_histories_replay_from_their_files() -> None:
    ran = replay(f"--file={HISTORIES}", "--json", NEXTAUTH_SECRET=HISTORIES_SECRET)
    assert (ran.code, ran.document["replayed"]) == (0, len(list(HISTORIES.glob("*.json"))))


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"events": 5}', "\xff", '{"events": []}', '{"events": [{"eventId": "2"}]}'],
)
def test_a_file_without_a_history_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content.encode("latin-1"))
    ran = replay(f"--file={file}")
    assert (ran.code, str(file) in ran.stderr.replace("\n", "")) == (2, True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ran = replay(f"--file={tmp_path / 'nowhere.json'}")
    assert (ran.code, "nowhere.json" in ran.stderr) == (2, True)


def test_an_unavailable_temporal_is_reported() -> None:
    address = f"127.0.0.1:{free_port()}"
    ran = replay(TEMPORAL_ADDRESS=address)
    assert (ran.code, address in ran.stderr) == (5, True)


def test_a_folder_without_histories_does_not_pass(tmp_path: Path) -> None:
    ran = replay(f"--file={tmp_path}")
    assert (ran.code, "no histories" in ran.stderr) == (2, True)


@pytest.mark.parametrize("query", ["Colour = 'red'", "= ="])
def test_an_invalid_query_exits_2(queue: dict[str, str], query: str) -> None:
    ran = replay(f"--query={query}", **queue)
    assert (ran.code, "invalid query" in ran.stderr) == (2, True)


def test_a_missing_namespace_exits_2(queue: dict[str, str]) -> None:
    ran = replay(TEMPORAL_NAMESPACE="nowhere", **queue)
    assert (ran.code, "nowhere is not found" in ran.stderr) == (2, True)


def test_file_and_query_can_not_be_combined() -> None:
    ran = replay(f"--file={HISTORIES}", "--query=WorkflowId = 'x'")
    assert (ran.code, "either --file or --query" in " ".join(ran.stderr.split())) == (2, True)


def test_an_export_of_temporals_own_program_replays(tmp_path: Path, queue: dict[str, str]) -> None:
    done = run_blocking(leave_histories(queue, list(WORKFLOWS)))
    show = ["workflow", "show", "--address", queue["TEMPORAL_ADDRESS"], "--workflow-id", done, "--output", "json"]
    shown = subprocess.run([temporal_program(), *show], check=True, capture_output=True)  # noqa: S603 - our own server
    (tmp_path / "shown.json").write_bytes(shown.stdout)
    assert replay(f"--file={tmp_path}", "--json").document == {"replayed": 1, "gone": 0, "incompatible": []}


async def fetch_while_one_is_deleted(environment: dict[str, str]) -> tuple[int, int]:
    """Return how many of two running workflows were fetched and gone if one is deleted after the listing."""
    client = await Client.connect(environment["TEMPORAL_ADDRESS"], data_converter=DATA_CONVERTER)
    task_queue = environment["TEMPORAL_TASK_QUEUE"]
    started = {str(uuid4()) for _ in range(2)}
    for workflow_id in started:
        await client.start_workflow("tenantCreationWorkflow", request(), id=workflow_id, task_queue=task_queue)
    while (await client.count_workflows(f"TaskQueue = '{task_queue}'")).count < len(started):
        pass
    history = History()
    found = history.in_temporal(client, task_queue, narrowed_by=None, closed=0)
    fetched = [await anext(found)]
    await delete(client, (started - {fetched[0].workflow_id}).pop())
    fetched += [recorded async for recorded in found]
    return len(fetched), history.gone


async def delete(client: Client, workflow_id: str) -> None:
    """Delete a workflow with its history, and wait until that is done."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )
    with suppress(RPCError):
        while True:
            await client.get_workflow_handle(workflow_id).fetch_history()


def test_a_history_deleted_in_the_meantime_is_skipped_and_counted(queue: dict[str, str]) -> None:
    assert run_blocking(fetch_while_one_is_deleted(queue)) == (1, 1)


def stored() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HISTORIES / "retried.json").read_text())
    return document


def markers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the recorded results of the activities, in order."""
    events = (event for event in document["events"] if event["eventType"] == "EVENT_TYPE_MARKER_RECORDED")
    return [event["markerRecordedEventAttributes"]["details"] for event in events]


def test_an_unreadable_payload_is_not_printed(tmp_path: Path) -> None:
    document = stored()
    wrong = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps({"tenantId": SECRET}).encode())
    started = document["events"][0]["workflowExecutionStartedEventAttributes"]
    context = WorkflowSerializationContext("default", started["workflowId"])
    [sealed] = run_blocking(codec_of(HISTORIES_SECRET).with_context(context).encode([wrong]))
    markers(document)[-1]["result"]["payloads"][0] = MessageToDict(sealed)
    (tmp_path / "changed.json").write_text(json.dumps(document))
    ran = replay(f"--file={tmp_path}", LOG_LEVEL="debug", NEXTAUTH_SECRET=HISTORIES_SECRET)
    assert ran.code == 1
    assert "Failed decoding" in ran.stdout
    assert "temporalio" not in ran.stderr


def test_only_type_and_place_of_an_exception_are_shown() -> None:
    async def problem() -> str | None:
        async def one() -> Any:
            document = stored()
            workflow_id = document["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
            history = WorkflowHistory.from_json(workflow_id, document)
            yield history

        converter = dataclasses.replace(DATA_CONVERTER, payload_codec=codec_of(HISTORIES_SECRET))
        (replayed,) = [replayed async for replayed in replay_histories(one(), [Quoting], converter)]
        return replayed.problem

    shown = run_blocking(problem())
    assert shown is not None
    assert shown.startswith("ValueError at ")
    assert "reordered.py" in shown
    assert "Acme" not in shown


def test_the_reason_is_the_sdks_message(tmp_path: Path) -> None:
    document = stored()
    first, second, *_ = markers(document)
    first["data"], second["data"] = second["data"], first["data"]
    (tmp_path / "swapped.json").write_text(json.dumps(document))
    ran = replay(f"--file={tmp_path}", "--json", NEXTAUTH_SECRET=HISTORIES_SECRET)
    assert ran.code == 1
    (found,) = ran.document["incompatible"]
    recorded = document["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    assert (found["workflow_id"], found["workflow_type"]) == (recorded, "tenantCreationWorkflow")
    assert "Nondeterminism" in found["problem"]


def test_an_incompatible_exported_history_fails_the_check(tmp_path: Path, queue: dict[str, str]) -> None:
    document = stored()
    kept = [event for event in document["events"] if event["eventType"] != "EVENT_TYPE_MARKER_RECORDED"]
    (tmp_path / "cut.json").write_text(json.dumps({"events": kept}))
    assert replay(f"--file={tmp_path}", NEXTAUTH_SECRET=HISTORIES_SECRET, **queue).code == 1
