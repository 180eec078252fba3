"""Replays histories of workflows against workflow code, to see whether it may take them over."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from app.temporal.client import DATA_CONVERTER
from app.temporal.described import KINDS
from app.temporal.errors import TemporalUnavailableError

LONGEST_REASON = 300
# The SDK hands on its core's failures as their Rust representation.
OUTERMOST_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Replayed:
    """A history that was replayed; `problem` says what the code does otherwise, or is None."""

    workflow_id: str
    run_id: str
    problem: str | None = None


class HistoryError(Exception):
    """A file does not hold a history."""


class History:
    """Histories as they are fetched or read, one at a time; counts those that were gone when their turn came."""

    def __init__(self) -> None:
        self.gone = 0

    async def in_temporal(
        self, client: Client, task_queue: str, *, narrowed_by: str | None, closed: int
    ) -> AsyncIterator[WorkflowHistory]:
        """Those of all running workflows of ours on the task queue, and of so many of the newest closed ones.

        Raises:
            TemporalUnavailableError: Temporal did not answer, or refused the query that narrows.
        """
        types = ", ".join(f"'{name}'" for name in KINDS)
        ours = f"WorkflowType IN ({types}) AND TaskQueue = '{task_queue}'"
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
        except (RPCError, RuntimeError) as error:
            raise TemporalUnavailableError(str(error)) from None

    async def _fetch(self, client: Client, workflow_id: str, run_id: str) -> WorkflowHistory | None:
        try:
            return await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            self.gone += 1
            return None

    async def in_files(self, path: Path) -> AsyncIterator[WorkflowHistory]:
        """Those in a file, or in all JSON files of a folder, as `temporal workflow show --output json` writes them.

        Raises:
            HistoryError: there is no such file, or it holds something else.
        """
        for file in await asyncio.to_thread(_files, path):
            try:
                yield WorkflowHistory.from_json(file.stem, await asyncio.to_thread(file.read_text))
            except OSError as error:
                raise HistoryError(f"{file}: {error.strerror}") from None
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                # Protobuf's parser errors are ValueErrors, too.
                raise HistoryError(f"{file} is not a workflow's history: {type(error).__name__}") from None


async def replay(histories: AsyncIterator[WorkflowHistory], workflows: Sequence[type]) -> AsyncIterator[Replayed]:
    """Replay one history after the other against these workflows."""
    replayer = Replayer(workflows=workflows, data_converter=DATA_CONVERTER)
    async for history in histories:
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = result.replay_failure
        yield Replayed(history.workflow_id, history.run_id, _reason(failure) if failure is not None else None)


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.json")) if path.is_dir() else [path]


def _reason(failure: Exception) -> str:
    """The outermost message of what the SDK says; those of its causes may hold values of payloads."""
    message = OUTERMOST_MESSAGE.search(str(failure))
    return message[1][:LONGEST_REASON] if message is not None else type(failure).__name__
