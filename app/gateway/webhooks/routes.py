"""The routes of webhooks and their deliveries."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.directory.parameters import PageToken
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, CONDITIONAL, Responses, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, IfNoneMatch, PageSize
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, InvalidRequestError
from app.gateway.http.responses import conditional_response, document_response
from app.gateway.webhooks.parameters import Deliveries, EventId, Manager, Service, StatusFilter, WebhookId
from app.gateway.webhooks.problems import (
    DeliveryNotFoundError,
    TooManySecretsError,
    TooManyWebhooksError,
    UnboundCallerRequiredError,
    WebhookExistsError,
    WebhookNotFoundError,
    WebhookSecretUnreadableError,
)
from app.gateway.webhooks.schemas import (
    CreatedWebhookDocument,
    DeliveryList,
    ReplayBody,
    Replayed,
    SecretDocument,
    SecretRotation,
    TestEvent,
    WebhookBody,
    WebhookChanges,
    WebhookDocument,
    WebhookList,
)
from app.gateway.webhooks.webhooks import PREFIX

router = APIRouter(
    prefix=PREFIX,
    tags=["webhooks"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, BadOnBehalfOfError, DatabaseOutageError, UnboundCallerRequiredError),
)

LOCATION = {"Location": {"description": "Path of the new webhook.", "schema": {"type": "string"}}}
CREATED: Responses = {201: {"description": "The webhook, with its secret this once.", "headers": LOCATION}}
OF_ONE = problems(WebhookNotFoundError)
OF_ONE_WITH_BODY = problems(*BODY_PROBLEMS, WebhookNotFoundError)


@router.post(
    "",
    summary="Create a webhook",
    status_code=201,
    response_model=CreatedWebhookDocument,
    responses={**CREATED, **problems(*BODY_PROBLEMS, WebhookExistsError, TooManyWebhooksError)},
)
async def create_webhook(requester: Manager, hooks: Service, body: Annotated[WebhookBody, Body()]) -> Response:
    """Let a URL receive the events of all tenants from now on, and show the secret that signs them, this once.

    Events are CloudEvents 1.0 in JSON, signed as Standard Webhooks say, and delivered at least once.
    """
    created = await hooks.create(requester, body)
    return document_response(created, 201, {"Location": created.links.self})


@router.get("", summary="List webhooks", response_model=WebhookList, responses=CONDITIONAL)
async def list_webhooks(requester: Manager, hooks: Service, if_none_match: IfNoneMatch) -> Response:
    """Show all webhooks, oldest first, but never their secrets."""
    return conditional_response(await hooks.list(requester), if_none_match)


@router.get("/{id}", summary="Read a webhook", response_model=WebhookDocument, responses=OF_ONE)
async def read_webhook(requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Show one webhook, but not its secrets."""
    return document_response(await hooks.find(requester, webhook_id))


@router.patch(
    "/{id}",
    summary="Change a webhook",
    response_model=WebhookDocument,
    responses={**OF_ONE_WITH_BODY, **problems(WebhookExistsError, WebhookSecretUnreadableError)},
)
async def change_webhook(
    requester: Manager, hooks: Service, webhook_id: WebhookId, body: Annotated[WebhookChanges, Body()]
) -> Response:
    """Change the URL, the event types or the description, or pause or resume the webhook.

    New event types count for events from now on. What waits for a paused webhook is delivered when it is resumed.
    """
    return document_response(await hooks.change(requester, webhook_id, body))


@router.delete("/{id}", summary="Delete a webhook", status_code=204, responses=OF_ONE)
async def delete_webhook(requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Delete a webhook with its secrets and its deliveries; what was not delivered is lost for it."""
    await hooks.delete(requester, webhook_id)
    return Response(status_code=204)


@router.post(
    "/{id}/rotate-secret",
    summary="Rotate a webhook's secret",
    response_model=SecretDocument,
    responses={**OF_ONE_WITH_BODY, **problems(TooManySecretsError)},
)
async def rotate_webhook_secret(
    requester: Manager,
    hooks: Service,
    webhook_id: WebhookId,
    body: Annotated[SecretRotation | None, Body()] = None,
) -> Response:
    """Create a secret and show it, this once. Events have a signature for each secret until the overlap ends."""
    overlap_hours = (body or SecretRotation()).overlap_hours
    return document_response(await hooks.rotate(requester, webhook_id, overlap_hours))


@router.post("/{id}/test", summary="Send a test event", status_code=202, response_model=TestEvent, responses=OF_ONE)
async def send_test_event(requester: Manager, hooks: Service, webhook_id: WebhookId) -> Response:
    """Send an event of type `webhook.test` to this webhook; its deliveries show how that went.

    Like other events, it waits while the webhook is paused.
    """
    return document_response(TestEvent(event_id=await hooks.test(requester, webhook_id)), 202)


@router.get(
    "/{id}/deliveries",
    summary="List deliveries",
    response_model=DeliveryList,
    responses={**CONDITIONAL, **problems(WebhookNotFoundError, InvalidRequestError)},
)
async def list_deliveries(  # noqa: PLR0917 - of the request
    requester: Manager,
    listing: Deliveries,
    webhook_id: WebhookId,
    if_none_match: IfNoneMatch,
    status: StatusFilter = None,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """Show what was sent to a webhook or waits for it, newest first, with every attempt."""
    page = await listing.page(requester, webhook_id, status, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)


@router.post(
    "/{id}/deliveries/{event_id}/replay",
    summary="Deliver an event again",
    status_code=202,
    response_model=Replayed,
    responses={**OF_ONE, **problems(DeliveryNotFoundError)},
)
async def replay_delivery(requester: Manager, hooks: Service, webhook_id: WebhookId, event_id: EventId) -> Response:
    """Send an event again, whether it was delivered or is dead, with all attempts anew and the same event id."""
    await hooks.replay(requester, webhook_id, event_id)
    return document_response(Replayed(replayed=1), 202)


@router.post(
    "/{id}/replay",
    summary="Deliver dead events again",
    status_code=202,
    response_model=Replayed,
    responses=OF_ONE_WITH_BODY,
)
async def replay_dead_deliveries(
    requester: Manager, hooks: Service, webhook_id: WebhookId, body: Annotated[ReplayBody | None, Body()] = None
) -> Response:
    """Send again every event whose attempts have all failed: those of a time, or all."""
    return document_response(
        Replayed(replayed=await hooks.replay_dead(requester, webhook_id, body or ReplayBody())), 202
    )
