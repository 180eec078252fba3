"""Forms that create and change webhooks and repeat their deliveries."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from activities.webhooks.event_types import EVENT_TYPES
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, number_of, validated
from app.gateway.console.rendering import page, see_other
from app.gateway.webhooks.parameters import Deliveries, EventId, Manager, Service, WebhookId
from app.gateway.webhooks.schemas import (
    DEFAULT_OVERLAP_HOURS,
    SELECTABLE,
    DeliveryStatus,
    ReplayBody,
    SecretRotation,
    WebhookBody,
    WebhookChanges,
    WebhookDocument,
)

FIELDS = ("url", "eventTypes", "description")
REPLAY_FIELDS = ("occurredAfter", "occurredBefore")
WHOLE_GROUP = "All of these, and types that are added later."
EVENT_OPTIONS = [(name, EVENT_TYPES.get(name, WHOLE_GROUP)) for name in SELECTABLE]

router = APIRouter(prefix="/webhooks", route_class=ConsoleRoute)


@router.get("/new")
async def show_new(request: Request, _: Manager) -> Response:
    """Show the form of a new webhook."""
    return page(request, "webhooks/new.html", form=Form(), events=EVENT_OPTIONS)


@router.post("")
async def create_webhook(request: Request, requester: Manager, hooks: Service, form: SubmittedForm) -> Response:
    """Create a webhook and show its secret, this once."""
    attempt = Attempt(request)
    with attempt:
        created = await hooks.create(requester, validated(WebhookBody, _content(form)))
        return page(request, "webhooks/secret.html", 201, webhook=created, secret=created.secret, is_rotation=False)
    shown = form.rejected(attempt.problem, fields=FIELDS)
    return page(request, "webhooks/new.html", attempt.problem.status, form=shown, events=EVENT_OPTIONS)


@router.get("/{id}/change")
async def show_change(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Show a webhook's form as it is."""
    webhook = await hooks.find(requester, webhook_id)
    return _change_page(request, webhook, _filled_in(webhook))


@router.post("/{id}/change")
async def change_webhook(
    request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId, form: SubmittedForm
) -> Response:
    """Change the URL, the events and the description."""
    webhook = await hooks.find(requester, webhook_id)
    attempt = Attempt(request)
    with attempt:
        await hooks.change(requester, webhook_id, validated(WebhookChanges, _content(form)))
        return see_other(request, webhook.links.self)
    return _change_page(request, webhook, form.rejected(attempt.problem, fields=FIELDS), attempt.problem.status)


@router.post("/{id}/pause")
async def pause_webhook(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Let deliveries wait."""
    webhook = await hooks.change(requester, webhook_id, WebhookChanges(is_paused=True))
    return see_other(request, webhook.links.self)


@router.post("/{id}/resume")
async def resume_webhook(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Deliver again, and at once what has waited."""
    webhook = await hooks.change(requester, webhook_id, WebhookChanges(is_paused=False))
    return see_other(request, webhook.links.self)


@router.post("/{id}/test")
async def send_test_event(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Send a test event, and show how that goes."""
    event_id = await hooks.test(requester, webhook_id)
    return see_other(request, f"/webhooks/{webhook_id}/deliveries/{event_id}")


@router.get("/{id}/rotate-secret")
async def show_rotation(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Show what a rotation does, and ask how long the old secret is used."""
    return _rotation_page(request, await hooks.find(requester, webhook_id), Form())


@router.post("/{id}/rotate-secret")
async def rotate_secret(
    request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId, form: SubmittedForm
) -> Response:
    """Create a secret and show it, this once."""
    webhook = await hooks.find(requester, webhook_id)
    attempt = Attempt(request)
    with attempt:
        wanted = validated(SecretRotation, {"overlapHours": number_of(form["overlapHours"])})
        rotated = await hooks.rotate(requester, webhook_id, wanted.overlap_hours)
        until = rotated.old_secrets_expire_at if wanted.overlap_hours else None
        shown = {"webhook": webhook, "secret": rotated.secret, "until": until, "is_rotation": True}
        return page(request, "webhooks/secret.html", 200, **shown)
    rejected = form.rejected(attempt.problem, fields=["overlapHours"])
    return _rotation_page(request, webhook, rejected, attempt.problem.status)


@router.get("/{id}/delete")
async def show_deletion(
    request: Request, requester: Manager, hooks: Service, listing: Deliveries, webhook_id: WebhookId
) -> Response:
    """Show what a deletion removes."""
    webhook = await hooks.find(requester, webhook_id)
    summary = await listing.summary(requester, webhook_id)
    return page(request, "webhooks/delete.html", webhook=webhook, numbers=summary.by_status)


@router.post("/{id}/delete")
async def delete_webhook(request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Delete a webhook with its deliveries."""
    await hooks.delete(requester, webhook_id)
    return see_other(request, "/webhooks")


@router.get("/{id}/replay")
async def show_replay(
    request: Request, requester: Manager, hooks: Service, listing: Deliveries, webhook_id: WebhookId
) -> Response:
    """Show how many events are dead, and ask of what time they are delivered again."""
    webhook = await hooks.find(requester, webhook_id)
    summary = await listing.summary(requester, webhook_id)
    return _replay_page(request, webhook, summary.by_status[DeliveryStatus.DEAD], Form())


@router.post("/{id}/replay")
async def replay_dead(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Manager,
    hooks: Service,
    listing: Deliveries,
    webhook_id: WebhookId,
    form: SubmittedForm,
) -> Response:
    """Deliver dead events again."""
    webhook = await hooks.find(requester, webhook_id)
    summary = await listing.summary(requester, webhook_id)
    attempt = Attempt(request)
    with attempt:
        wanted = validated(ReplayBody, {name: form.moment(name) for name in REPLAY_FIELDS})
        replayed = await hooks.replay_dead(requester, webhook_id, wanted)
        return see_other(request, f"{webhook.links.self}?replayed={replayed}")
    shown = form.rejected(attempt.problem, fields=REPLAY_FIELDS)
    return _replay_page(request, webhook, summary.by_status[DeliveryStatus.DEAD], shown, attempt.problem.status)


@router.post("/{id}/deliveries/{event_id}/replay")
async def replay_delivery(
    request: Request, requester: Manager, hooks: Service, webhook_id: WebhookId, event_id: EventId
) -> Response:
    """Deliver an event again."""
    await hooks.replay(requester, webhook_id, event_id)
    return see_other(request, f"/webhooks/{webhook_id}/deliveries/{event_id}")


def _content(form: Form) -> dict[str, Any]:
    return {
        "url": form["url"],
        "eventTypes": form.chosen("eventTypes"),
        "description": form["description"] or None,
    }


def _filled_in(webhook: WebhookDocument) -> Form:
    boxes = {f"eventTypes.{name}": "yes" for name in webhook.event_types}
    return Form({"url": webhook.url, "description": webhook.description or "", **boxes})


def _change_page(request: Request, webhook: WebhookDocument, form: Form, status: int = 200) -> Response:
    return page(request, "webhooks/change.html", status, webhook=webhook, form=form, events=EVENT_OPTIONS)


def _rotation_page(request: Request, webhook: WebhookDocument, form: Form, status: int = 200) -> Response:
    hours = DEFAULT_OVERLAP_HOURS
    return page(request, "webhooks/rotate.html", status, webhook=webhook, form=form, overlap_hours=hours)


def _replay_page(request: Request, webhook: WebhookDocument, dead: int, form: Form, status: int = 200) -> Response:
    return page(request, "webhooks/replay.html", status, webhook=webhook, dead=dead, form=form)
