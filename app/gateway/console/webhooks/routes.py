"""Pages that show webhooks and their deliveries."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.console.charts.chart import Row, Series
from app.gateway.console.charts.columns import ColumnChart
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import options, page, render
from app.gateway.directory.parameters import PageToken
from app.gateway.webhooks.deliveries import DeliveryListing, DeliverySummary
from app.gateway.webhooks.parameters import Deliveries, EventId, Manager, Service, StatusFilter, WebhookId
from app.gateway.webhooks.schemas import DeliveryStatus
from app.gateway.webhooks.webhooks import Webhooks

PAGE_SIZE = 25
MAX_REPLAYED = 10**9

router = APIRouter(prefix="/webhooks", route_class=ConsoleRoute)

Replayed = Annotated[int | None, Query(ge=0, le=MAX_REPLAYED)]


@router.get("")
async def list_webhooks(request: Request, requester: Manager, hooks: Service) -> Response:
    """Show the webhooks, oldest first."""
    return page(request, "webhooks/list.html", webhooks=(await hooks.list(requester)).webhooks)


@router.get("/{id}")
async def show_webhook(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Manager,
    hooks: Service,
    listing: Deliveries,
    webhook_id: WebhookId,
    status: StatusFilter = None,
    page_token: PageToken = None,
    replayed: Replayed = None,
) -> Response:
    """Show a webhook and its deliveries."""
    context = await _context(hooks, listing, requester, webhook_id, status=status, token=page_token)
    return page(
        request,
        "webhooks/webhook.html",
        **context,
        form=Form(dict(request.query_params)),
        status_options=options(DeliveryStatus),
        is_first=page_token is None,
        replayed=replayed,
    )


@router.get("/{id}/live")
async def follow_webhook(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Manager,
    hooks: Service,
    listing: Deliveries,
    webhook_id: WebhookId,
    status: StatusFilter = None,
) -> Response:
    """Send the parts of a webhook's page that change."""
    await hooks.find(requester, webhook_id)

    async def parts(caller: Caller) -> Parts:
        asking = Requester(caller=caller, request_id=requester.request_id)
        context = await _context(hooks, listing, asking, webhook_id, status=status)
        names = ("state", "chart", "deliveries")
        return Parts({name: render(request, f"webhooks/{name}.html", **context) for name in names})

    return live_parts(request, requester.caller, Scope.WEBHOOKS_MANAGE, parts)


@router.get("/{id}/deliveries/{event_id}")
async def show_delivery(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Manager,
    hooks: Service,
    listing: Deliveries,
    webhook_id: WebhookId,
    event_id: EventId,
) -> Response:
    """Show a delivery with its attempts."""
    webhook = await hooks.find(requester, webhook_id)
    delivery = await listing.find(requester, webhook_id, event_id)
    return page(request, "webhooks/delivery.html", webhook=webhook, delivery=delivery)


@router.get("/{id}/deliveries/{event_id}/live")
async def follow_delivery(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Manager,
    hooks: Service,
    listing: Deliveries,
    webhook_id: WebhookId,
    event_id: EventId,
) -> Response:
    """Send a delivery until it has ended."""
    await listing.find(requester, webhook_id, event_id)

    async def parts(caller: Caller) -> Parts:
        asking = Requester(caller=caller, request_id=requester.request_id)
        webhook = await hooks.find(asking, webhook_id)
        delivery = await listing.find(asking, webhook_id, event_id)
        text = render(request, "webhooks/attempts.html", webhook=webhook, delivery=delivery)
        return Parts({"attempts": text}, is_final=delivery.ended_at is not None)

    return live_parts(request, requester.caller, Scope.WEBHOOKS_MANAGE, parts)


async def _context(
    hooks: Webhooks,
    listing: DeliveryListing,
    requester: Requester,
    webhook_id: UUID,
    *,
    status: DeliveryStatus | None,
    token: str | None = None,
) -> dict[str, Any]:
    summary = await listing.summary(requester, webhook_id)
    return {
        "webhook": await hooks.find(requester, webhook_id),
        "summary": summary,
        "chart": _chart(summary),
        "found": await listing.page(requester, webhook_id, status, size=PAGE_SIZE, token=token),
        "wanted_status": status,
    }


def _chart(summary: DeliverySummary) -> ColumnChart:
    return ColumnChart(
        name="last-day",
        title="Attempts of the last day, by hour",
        of="Hour",
        series=(Series("Succeeded", "good"), Series("Failed", "bad")),
        rows=[Row(hour.hour, (hour.succeeded, hour.failed)) for hour in summary.by_hour],
    )
