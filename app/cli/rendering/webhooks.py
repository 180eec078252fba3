"""Shows webhooks and their deliveries to people."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from app.cli.console import say
from app.cli.rendering.operations import humanize, show_details, shown_time
from app.cli.rendering.tables import Column, print_table
from app.client import Attempt, Delivery, Webhook, WebhookSecret

STYLES = {
    "active": "green",
    "delivered": "green",
    "failing": "bold yellow",
    "pending": "yellow",
    "paused": "bold yellow",
    "dead": "bold red",
}


def print_webhooks(console: Console, webhooks: Iterable[Webhook]) -> None:
    """Print a table of webhooks."""
    rows = [
        (
            webhook.url,
            _state(webhook.state),
            _types(webhook),
            shown_time(webhook.created_at, "%Y-%m-%d"),
            str(webhook.id),
        )
        for webhook in webhooks
    ]
    columns = (
        Column("url", least=24),
        Column("state"),
        Column("events", leaves=1),
        Column("created", leaves=2),
        Column("webhook id", below=1),
    )
    print_table(console, columns, rows)


def show_webhook(console: Console, webhook: Webhook, *, secret: str | None = None) -> None:
    """Print the details of one webhook, with its secret if it is new."""
    say(console, f"{webhook.id}  {humanize(webhook.state)}", STYLES.get(webhook.state, "bold"))
    details: dict[str, object] = {
        "url": webhook.url,
        "events": ", ".join(webhook.event_types) or "all",
        "description": webhook.description,
        "created": shown_time(webhook.created_at),
        "created by": webhook.created_by,
        "failing since": shown_time(webhook.failing_since),
        "paused": shown_time(webhook.paused_at),
        "reason": webhook.pause_reason,
        "secret": secret,
    }
    show_details(console, details)


def show_secret(console: Console, created: WebhookSecret) -> None:
    """Print a new secret, and until when the old one signs as well."""
    show_details(console, {"secret": created.secret, "old one until": shown_time(created.old_secrets_expire_at)})


def print_deliveries(console: Console, deliveries: Iterable[Delivery]) -> None:
    """Print a table of deliveries."""
    rows = [
        (
            delivery.type,
            _state(delivery.status),
            shown_time(delivery.occurred_at, "%Y-%m-%d %H:%M"),
            _outcome(delivery),
            str(delivery.event_id),
        )
        for delivery in deliveries
    ]
    columns = (
        Column("event"),
        Column("status"),
        Column("occurred"),
        Column("attempts", least=12, leaves=1),
        Column("event id", below=1),
    )
    print_table(console, columns, rows)


def show_attempts(console: Console, deliveries: Iterable[Delivery]) -> None:
    """Print deliveries with all their attempts."""
    for delivery in deliveries:
        show_delivery(console, delivery)


def show_delivery(console: Console, delivery: Delivery) -> None:
    """Print the details of one delivery, with a line for each attempt."""
    say(console, f"{delivery.type}  {humanize(delivery.status)}", STYLES.get(delivery.status, "bold"))
    details: dict[str, object] = {
        "event id": delivery.event_id,
        "tenant id": delivery.tenant_id,
        "sequence": delivery.sequence,
        "occurred": shown_time(delivery.occurred_at),
        "next attempt": shown_time(delivery.next_try_at),
    }
    show_details(console, details)
    for attempt in delivery.attempts:
        took = f"{attempt.milliseconds} ms" if attempt.milliseconds is not None else ""
        parts = (shown_time(attempt.started_at), f"{took:>8}", _result(attempt), attempt.error or "")
        say(
            console,
            "  ".join((f"  attempt {attempt.attempt}", *filter(None, parts))),
            "" if not attempt.error else "red",
        )


def _state(state: str) -> Text:
    return Text(humanize(state), STYLES.get(state, ""))


def _types(webhook: Webhook) -> str:
    if not webhook.event_types:
        return "all"
    first, *others = webhook.event_types
    return f"{first} and {len(others)} more" if others else first


def _outcome(delivery: Delivery) -> str:
    if not delivery.attempts:
        return "none"
    next_try = shown_time(delivery.next_try_at, "%m-%d %H:%M")
    parts = (f"{len(delivery.attempts)}, last {_result(delivery.attempts[-1])}", next_try and f"next {next_try}")
    return ", ".join(filter(None, parts))


def _result(attempt: Attempt) -> str:
    return str(attempt.status_code) if attempt.status_code is not None else "no response"
