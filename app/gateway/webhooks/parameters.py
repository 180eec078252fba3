"""Parameters of the endpoints for webhooks."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Security

from activities.alga.across_tenants import parse_tenant_id
from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.http.dependencies import service
from app.gateway.webhooks.deliveries import DeliveryListing
from app.gateway.webhooks.problems import DeliveryNotFoundError, WebhookNotFoundError
from app.gateway.webhooks.schemas import DeliveryStatus
from app.gateway.webhooks.webhooks import Webhooks


async def webhook_id_in_path(
    id_in_path: Annotated[str, Path(alias="id", description="An `id` of `GET /webhooks`, a UUID.")],
) -> UUID:
    """Return the path's webhook id; raise `WebhookNotFoundError` if it is none."""
    parsed = parse_tenant_id(id_in_path)
    if parsed is None:
        raise WebhookNotFoundError
    return parsed


async def event_id_in_path(
    id_in_path: Annotated[
        str, Path(alias="event_id", description="An `eventId` of `GET /webhooks/{id}/deliveries`, a UUID.")
    ],
) -> UUID:
    """Return the path's event id; raise `DeliveryNotFoundError` if it is none."""
    parsed = parse_tenant_id(id_in_path)
    if parsed is None:
        raise DeliveryNotFoundError
    return parsed


Manager = Annotated[Requester, Security(current_requester, scopes=[Scope.WEBHOOKS_MANAGE])]
Service = Annotated[Webhooks, service(Webhooks)]
Deliveries = Annotated[DeliveryListing, service(DeliveryListing)]
WebhookId = Annotated[UUID, Depends(webhook_id_in_path)]
EventId = Annotated[UUID, Depends(event_id_in_path)]
StatusFilter = Annotated[DeliveryStatus | None, Query(description="Only in this status.")]
