"""`alga-tenants replay`: checks before a deploy that this release may take over the workflows that run."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.cli.exit_codes import ExitCode
from app.cli.output import say
from app.settings import HistorySettings
from app.telemetry.logging import configure_logging
from app.temporal.client import connect, replay_converter
from app.temporal.encryption import PayloadError
from app.temporal.errors import TemporalUnavailableError
from app.temporal.replay import History, HistoryError, QueryRefusedError, Replayed, replay
from app.worker.factory import WORKFLOWS


@dataclass
class Outcome:
    """What came of the replays."""

    replayed: int = 0
    gone: int = 0
    incompatible: list[Replayed] = field(default_factory=list)


def command(
    query: Annotated[str | None, typer.Option(help="A visibility query that narrows down which workflows.")] = None,
    closed: Annotated[
        int,
        typer.Option(min=0, show_default=True, help="How many closed workflows, newest first, besides all running."),
    ] = 200,
    file: Annotated[
        Path | None, typer.Option(help="Replay this exported history, or all in this folder, without Temporal.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")] = False,
) -> None:
    """Replay workflows' histories against the workflow code of this release.

    Needs Temporal's settings only, and changes nothing. Run it from a release before deploying that.

    Exits 0 where this release may take over all of them, 1 where it may not.
    """
    if file is not None and query is not None:
        raise typer.BadParameter("files are not queried: give either --file or --query")
    settings = HistorySettings.load()
    _log_without_the_sdk(settings)
    stderr = Console(stderr=True, highlight=False)
    try:
        with stderr.status("replaying") as status:
            outcome = asyncio.run(
                _replay(settings, query, closed, file, lambda count: status.update(f"{count} histories replayed"))
            )
    except HistoryError as error:
        say(stderr, str(error), "red")
        raise typer.Exit(ExitCode.INVALID) from None
    except PayloadError as error:
        say(stderr, str(error), "red")
        raise typer.Exit(ExitCode.INVALID) from None
    except QueryRefusedError as error:
        say(stderr, f"Temporal at {settings.temporal_address} refuses: {error}", "red")
        raise typer.Exit(ExitCode.INVALID) from None
    except TemporalUnavailableError as error:
        say(stderr, f"Temporal at {settings.temporal_address}: {error}", "red")
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
    else:
        _tell(outcome)
    if outcome.incompatible:
        raise typer.Exit(ExitCode.FAILED)


def _log_without_the_sdk(settings: HistorySettings) -> None:
    """Log nothing of the SDK: it reports what it was told to look for, with payloads in its tracebacks."""
    configure_logging(settings, sys.stderr)
    for handler in logging.getLogger().handlers:
        # Not a level: the SDK's core hands its records to the handlers whatever the level is.
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


def _tell(outcome: Outcome) -> None:
    console = Console(highlight=False)
    for replayed in outcome.incompatible:
        run = f"{replayed.workflow_id} ({replayed.workflow_type}, run {replayed.run_id})"
        say(console, f"incompatible: {run}: {replayed.problem}", "red")
    gone = f", {outcome.gone} were deleted meanwhile" if outcome.gone else ""
    say(console, f"{outcome.replayed} histories replayed, {len(outcome.incompatible)} incompatible{gone}")
