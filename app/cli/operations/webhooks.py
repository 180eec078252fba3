"""`alga-tenants webhooks`: manages webhooks, and shows, tests and replays their deliveries."""

import time
from collections.abc import Callable
from itertools import islice
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from app.cli.connection.completion import DELIVERY_STATUSES, one_of
from app.cli.console import print_json, say
from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_LIMIT, MAX_PAGE_SIZE, Ids, Limit, Moment, Timeout, Yes, confirmed
from app.cli.rendering.webhooks import (
    print_deliveries,
    print_webhooks,
    show_attempts,
    show_delivery,
    show_secret,
    show_webhook,
)
from app.client import Delivery
from app.client.calls.webhooks import DELIVERED, PAUSED
from app.client.models import D

app = typer.Typer(help="Send events to other systems, and show what they received.", no_args_is_help=True)

DEFAULT_TEST_TIMEOUT = 60.0
POLL_SECONDS = 0.5
SHOWN_ONCE = "Keep the secret now; it can't be shown again. If it is lost, rotate it."

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's UUID.")]
EventType = Annotated[
    list[str] | None,
    typer.Option(
        help="A type such as tenant.created, or a group such as tenant.*; may be repeated.", show_default=False
    ),
]
Description = Annotated[str | None, typer.Option(help="Whose it is, for people.")]


@app.command(epilog=EXIT_CODES_HELP)
@connected
def create(
    report: Report,
    receiver: Annotated[
        str, typer.Argument(metavar="URL", help="Where events are sent, like https://example.com/x.")
    ],
    *,
    event_type: EventType = None,
    description: Description = None,
) -> None:
    """Create a webhook, and show its secret once.

    It receives all events from now on, or those of --event-type.
    The receiver needs the secret to verify them.
    """
    created = report.client.create_webhook(receiver, event_types=event_type or (), description=description)
    if report.as_json:
        print_json(created.as_json())
    else:
        show_webhook(report.stdout, created, secret=created.secret)
        report.note(SHOWN_ONCE)


@app.command("list", epilog=EXIT_CODES_HELP)
@connected
def list_webhooks(report: Report, *, limit: Limit = DEFAULT_LIMIT, ids: Ids = False) -> None:
    """List the webhooks, oldest first."""
    report.show_list(
        "webhooks", report.client.webhooks(), limit, print_webhooks, id_of=attrgetter("id") if ids else None
    )


@app.command(epilog=EXIT_CODES_HELP)
@connected
def show(report: Report, webhook_id: WebhookId) -> None:
    """Show a webhook, but not its secret."""
    _show(report, report.client.webhook(webhook_id), show_webhook)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def update(
    report: Report,
    webhook_id: WebhookId,
    *,
    receiver: Annotated[str | None, typer.Option(metavar="URL", help="Where events are sent from now on.")] = None,
    event_type: EventType = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Send events of all types.")] = False,
    description: Description = None,
) -> None:
    """Change what is given, and keep the rest.

    New event types count for events from now on.
    """
    if event_type and all_events:
        raise typer.BadParameter(
            "can't be combined with --event-type; leave out one of them", param_hint="--all-events"
        )
    if receiver is None and description is None and not event_type and not all_events:
        raise typer.BadParameter(
            "give --receiver, --event-type, --all-events or --description", param_hint="--receiver"
        )
    types = () if all_events else event_type or None
    changed = report.client.update_webhook(webhook_id, url=receiver, event_types=types, description=description)
    _show(report, changed, show_webhook)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def delete(report: Report, webhook_id: WebhookId, *, yes: Yes = False) -> ExitCode:
    """Delete a webhook with its secret and its deliveries."""
    if not yes and not confirmed("Delete the webhook? Events that were not delivered are lost for its receiver."):
        report.note("Nothing was changed.")
        return ExitCode.CANCELLED
    report.client.delete_webhook(webhook_id)
    if report.as_json:
        print_json({"id": webhook_id, "deleted": True})
    else:
        say(report.stdout, f"deleted {webhook_id}", "green")
    return ExitCode.DONE


@app.command(epilog=EXIT_CODES_HELP)
@connected
def rotate_secret(
    report: Report,
    webhook_id: WebhookId,
    *,
    overlap_hours: Annotated[
        int | None,
        typer.Option(min=0, help="How long the old secret signs as well (default: 24).", show_default=False),
    ] = None,
) -> None:
    """Replace the secret of a webhook, and show the new one once.

    Until the overlap ends, each event has a signature by each of both secrets,
    so that the receiver can change its own at any time.
    """
    created = report.client.rotate_webhook_secret(webhook_id, overlap_hours=overlap_hours)
    if report.as_json:
        print_json(created.as_json())
    else:
        show_secret(report.stdout, created)
        report.note(SHOWN_ONCE)


@app.command("test", epilog=EXIT_CODES_HELP)
@connected
def send_test(
    report: Report,
    webhook_id: WebhookId,
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the first attempt.")] = True,
    timeout: Timeout = DEFAULT_TEST_TIMEOUT,
) -> ExitCode:
    """Send an event of type webhook.test, and show the response of the receiver.

    Exits with 1 if the first attempt fails. Further ones follow.
    """
    if wait and (paused := report.client.webhook(webhook_id)).state == PAUSED:
        report.note(f"The webhook is paused, so the event waits: {paused.pause_reason}")
        wait = False
    sent = report.client.send_test_event(webhook_id)
    report.note(f"sent {sent.event_id}")
    deadline = time.monotonic() + timeout
    while wait:
        delivery = _find(report, webhook_id, sent.event_id)
        if delivery is not None and delivery.attempts:
            _show(report, delivery, show_delivery)
            return ExitCode.DONE if delivery.status == DELIVERED else ExitCode.FAILED
        if time.monotonic() > deadline:
            report.note("It was not sent yet: no worker runs, or earlier events come first.")
            break
        time.sleep(POLL_SECONDS)
    if report.as_json:
        print_json(sent.as_json())
    return ExitCode.TIMED_OUT if wait else ExitCode.DONE


@app.command(epilog=EXIT_CODES_HELP)
@connected
def deliveries(
    report: Report,
    webhook_id: WebhookId,
    *,
    status: Annotated[
        str | None,
        typer.Option(help="Only pending, delivered or dead ones.", autocompletion=one_of(DELIVERY_STATUSES)),
    ] = None,
    attempts: Annotated[bool, typer.Option("--attempts", help="Show each attempt, and why it failed.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    ids: Ids = False,
) -> None:
    """List what was sent to a webhook or waits for it, newest first.

    A delivery is dead after ten failed attempts, in three days.
    """
    found = report.client.deliveries(webhook_id, status=status, page_size=min(limit, MAX_PAGE_SIZE))
    show = show_attempts if attempts else print_deliveries
    report.show_list("deliveries", found, limit, show, id_of=attrgetter("event_id") if ids else None)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def replay(
    report: Report,
    webhook_id: WebhookId,
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="The event's UUID.", show_default=False)
    ] = None,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="All events whose attempts have all failed.")] = False,
    occurred_after: Moment = None,
    occurred_before: Moment = None,
) -> None:
    """Deliver an event again, or all dead ones.

    --occurred-after and --occurred-before limit --dead to the events of a time.
    """
    if (event_id is None) != dead:
        raise typer.BadParameter("give the id of an event, or --dead for all dead ones", param_hint="EVENT")
    if event_id is not None:
        if occurred_after or occurred_before:
            raise typer.BadParameter("only with --dead", param_hint="--occurred-after, --occurred-before")
        replayed = report.client.replay_delivery(webhook_id, event_id)
    else:
        replayed = report.client.replay_dead_deliveries(
            webhook_id, occurred_after=occurred_after, occurred_before=occurred_before
        )
    if report.as_json:
        print_json(replayed.as_json())
    else:
        say(report.stdout, f"{replayed.replayed} {'event is' if replayed.replayed == 1 else 'events are'} sent again")


@app.command(epilog=EXIT_CODES_HELP)
@connected
def pause(report: Report, webhook_id: WebhookId) -> None:
    """Pause a webhook. Its events wait until it is resumed."""
    _show(report, report.client.pause_webhook(webhook_id), show_webhook)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def resume(report: Report, webhook_id: WebhookId) -> None:
    """Resume a webhook, and send what has waited."""
    _show(report, report.client.resume_webhook(webhook_id), show_webhook)


def _show(report: Report, document: D, show: Callable[[Console, D], None]) -> None:
    if report.as_json:
        print_json(document.as_json())
    else:
        show(report.stdout, document)


def _find(report: Report, webhook_id: str, event_id: UUID) -> Delivery | None:
    """Return a new delivery; None if there are too many newer ones."""
    newest = islice(report.client.deliveries(webhook_id, page_size=MAX_PAGE_SIZE), MAX_PAGE_SIZE)
    return next((delivery for delivery in newest if delivery.event_id == event_id), None)
