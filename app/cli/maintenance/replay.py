"""`alga-tenants replay`: checks before a deployment that this release can continue the running workflows."""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.cli.connection.settings import load_settings
from app.cli.console import fail, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson
from app.outages import temporal_outage
from app.settings import HistorySettings
from app.telemetry.logging import configure_logging
from app.temporal.client import connect, replay_converter
from app.temporal.encryption import PayloadError
from app.temporal.errors import TemporalUnavailableError
from app.temporal.replay import History, HistoryError, QueryRefusedError, Replayed, replay
from app.worker.factory import WORKFLOWS


@dataclass
class Outcome:
    """The result of the replays; `gone` counts histories that were deleted in the meantime."""

    replayed: int = 0
    gone: int = 0
    incompatible: list[Replayed] = field(default_factory=list)


def command(
    query: Annotated[str | None, typer.Option(help="Visibility query that selects among the workflows.")] = None,
    closed: Annotated[
        int,
        typer.Option(min=0, help="Number of newest closed workflows, besides all running ones."),
    ] = 200,
    file: Annotated[
        Path | None, typer.Option(help="Replay an exported history, or all in a folder, instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay workflow histories against the workflow code of this release.

    Run it from a release before you deploy that release.
    Needs only Temporal's settings and changes nothing.

    Exits with 1 if this release is incompatible with one of them.
    """
    if file is not None and query is not None:
        raise typer.BadParameter("give either --file or --query")
    settings = load_settings(HistorySettings, as_json=as_json)
    _log_without_sdk(settings)
    stderr = Console(stderr=True, highlight=False)
    try:
        with stderr.status("replaying") as status:
            outcome = asyncio.run(
                _replay(settings, query, closed, file, lambda count: status.update(f"{count} histories replayed"))
            )
    except (HistoryError, PayloadError) as error:
        fail(str(error), ExitCode.INVALID)
    except QueryRefusedError as error:
        fail(f"Temporal at {settings.temporal_address} rejected the request: {error}", ExitCode.INVALID)
    except (TemporalUnavailableError, OSError) as error:
        fail(str(temporal_outage(error, settings)), ExitCode.UNAVAILABLE)
    if as_json:
        print_json(asdict(outcome))
    else:
        _show(outcome)
    if outcome.incompatible:
        raise typer.Exit(ExitCode.FAILED)


def _log_without_sdk(settings: HistorySettings) -> None:
    """Suppress the SDK's logs: they repeat the incompatibilities, with payloads in their tracebacks."""
    configure_logging(settings, sys.stderr)
    for handler in logging.getLogger().handlers:
        # Not a level, because the SDK's core passes records to the handlers at every level.
        handler.addFilter(lambda record: not record.name.startswith("temporalio"))


async def _replay(
    settings: HistorySettings, query: str | None, closed: int, file: Path | None, on_progress: Callable[[int], None]
) -> Outcome:
    history = History()
    if file is not None:
        histories = history.in_files(file)
    else:
        client = await connect(settings, lazy=True)
        histories = history.in_temporal(client, settings.temporal_task_queue, narrowed_by=query, closed=closed)
    outcome = Outcome()
    async for replayed in replay(histories, WORKFLOWS, replay_converter(settings)):
        outcome.replayed += 1
        on_progress(outcome.replayed)
        if replayed.problem is not None:
            outcome.incompatible.append(replayed)
    outcome.gone = history.gone
    return outcome


def _show(outcome: Outcome) -> None:
    console = Console(highlight=False)
    for replayed in outcome.incompatible:
        run = f"{replayed.workflow_id} ({replayed.workflow_type}, run {replayed.run_id})"
        say(console, f"incompatible: {run}: {replayed.problem}", "red")
    gone = f", {outcome.gone} deleted in the meantime" if outcome.gone else ""
    say(console, f"{outcome.replayed} histories replayed, {len(outcome.incompatible)} incompatible{gone}")
