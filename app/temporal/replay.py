"""Replays histories of workflows, to check that this release can continue the workflows."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from app.temporal.conversion import DATA_CONVERTER
from app.temporal.errors import TemporalUnavailableError, reason_of
from workflows.operations.kinds import KINDS

MAX_REASON_LENGTH = 300
# The SDK passes on its core's failures in their Rust representation, the outermost first.
MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
STACK_TRACE = re.compile(r'stack_trace: "((?:[^"\\]|\\.)*)"')
FRAME = re.compile(r'File \\"([^"\\]+)\\", line (\d+), in (\w+)')
EXCEPTION = re.compile(r'r#type: "(\w+)"')
# Messages of the SDK that name types and commands only; any other may hold values of payloads.
SAFE_MESSAGES = ("[TMPRL", "Failed decoding ", "Workflow class ")

REFUSALS = {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.NOT_FOUND}


@dataclass(frozen=True)
class Replayed:
    """A replayed history; `problem` explains its incompatibility, or is None."""

    workflow_id: str
    run_id: str
    workflow_type: str
    problem: str | None = None


class HistoryError(Exception):
    """A file holds no history, or a folder no files."""


class QueryRefusedError(Exception):
    """Temporal rejects the query, or has no such namespace."""


class History:
    """Fetches or reads histories one at a time; `gone` counts those that were deleted after they were listed."""

    def __init__(self) -> None:
        self.gone = 0

    async def in_temporal(
        self, client: Client, task_queue: str, *, narrowed_by: str | None, closed: int
    ) -> AsyncIterator[WorkflowHistory]:
        """Yield the histories of all running operations on the task queue, and of the newest closed ones.

        Raises `QueryRefusedError` or `TemporalUnavailableError`.
        """
        ours = f"{KINDS.is_operation} AND TaskQueue = '{task_queue}'"
        if narrowed_by:
            ours = f"{ours} AND ({narrowed_by})"
        try:
            for status, limit in (("= 'Running'", None), ("!= 'Running'", closed)):
                if limit == 0:
                    continue
                query = f"{ours} AND ExecutionStatus {status}"
                async for workflow in client.list_workflows(query, limit=limit):
                    history = await self._fetch(client, workflow.id, workflow.run_id)
                    if history is not None:
                        yield history
        except RPCError as error:
            if error.status in REFUSALS:
                raise QueryRefusedError(error.message) from None
            raise TemporalUnavailableError(reason_of(error)) from None
        except RuntimeError as error:
            # A lazy client raises it if the server can't be reached.
            raise TemporalUnavailableError(reason_of(error)) from None

    async def _fetch(self, client: Client, workflow_id: str, run_id: str) -> WorkflowHistory | None:
        try:
            return await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            self.gone += 1
            return None

    async def in_files(self, path: Path) -> AsyncIterator[WorkflowHistory]:
        """Yield the histories in a file, or in all JSON files of a folder, as the `temporal` command writes them.

        The file's name replaces a missing workflow id. Raises `HistoryError` for a missing or an invalid file.
        """
        for file in await asyncio.to_thread(_files, path):
            try:
                yield _history(file.stem, await asyncio.to_thread(file.read_text, "utf-8"))
            except OSError as error:
                raise HistoryError(f"{file}: {error.strerror}") from None
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                # Errors of protobuf's parser are ValueErrors.
                raise HistoryError(f"{file} is not a workflow's history: {type(error).__name__}") from None


async def replay(
    histories: AsyncIterator[WorkflowHistory], workflows: Sequence[type], converter: DataConverter = DATA_CONVERTER
) -> AsyncIterator[Replayed]:
    """Replay each history against these workflows; raises `PayloadError` for an unknown key."""
    replayer = Replayer(workflows=workflows, data_converter=converter)
    # One call for all, because each call loads every workflow into the sandbox anew.
    async with replayer.workflow_replay_iterator(_with_known_keys(histories, converter)) as results:
        async for result in results:
            started = result.history.events[0].workflow_execution_started_event_attributes
            problem = _reason(result.replay_failure) if result.replay_failure is not None else None
            run_id = started.original_execution_run_id
            yield Replayed(result.history.workflow_id, run_id, started.workflow_type.name, problem)


async def _with_known_keys(
    histories: AsyncIterator[WorkflowHistory], converter: DataConverter
) -> AsyncIterator[WorkflowHistory]:
    """Raise `PayloadError` for an unknown key, which to the replay would be one more incompatibility."""
    async for history in histories:
        if converter.payload_codec is not None:
            started = history.events[0].workflow_execution_started_event_attributes
            await converter.payload_codec.decode(started.input.payloads)
        yield history


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.json"))
    if not files:
        # A check of nothing must not pass.
        raise HistoryError(f"{path}: there are no histories (*.json) in this folder")
    return files


def _history(name: str, content: str) -> WorkflowHistory:
    history = WorkflowHistory.from_json(name, content)
    # The SDK's replay never ends if the workflow's start is missing.
    if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
        raise ValueError("the start of the workflow is missing")
    started = history.events[0].workflow_execution_started_event_attributes
    # Payloads are bound to the workflow's id.
    return replace(history, workflow_id=started.workflow_id or name)


def _reason(failure: Exception) -> str:
    """Return the SDK's reason; of an exception only type and place, because its text may hold payloads."""
    text = str(failure)
    message = MESSAGE.search(text)
    if message is not None and message[1].startswith(SAFE_MESSAGES):
        return message[1][:MAX_REASON_LENGTH]
    exception, trace = EXCEPTION.search(text), STACK_TRACE.search(text)
    frames = FRAME.findall(trace[1]) if trace is not None else []
    where = " at {}:{} in {}".format(*frames[-1]) if frames else ""
    return f"{exception[1] if exception is not None else type(failure).__name__}{where}"
