"""Both clients manage webhooks, and read and replay their deliveries."""

from datetime import UTC, datetime

import pytest

from app.client import ConflictError, CreatedWebhook, Delivery, Webhook, WebhookSecret
from app.client.calls.webhooks import PATH
from app.gateway.webhooks import schemas
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import Reply, ScriptedServer, problem
from tests.app.client.webhook_documents import (
    DELIVERIES_PATH,
    EVENT_ID,
    SECRET,
    WEBHOOK_ID,
    WEBHOOK_PATH,
    delivery,
    webhook,
)

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (Webhook, schemas.WebhookDocument),
        (CreatedWebhook, schemas.CreatedWebhookDocument),
        (WebhookSecret, schemas.SecretDocument),
        (Delivery, schemas.DeliveryDocument),
    ],
)
def test_the_models_have_all_fields_of_the_gateway(
    model: type[Webhook], document: type[schemas.WebhookDocument]
) -> None:
    assert set(model.model_fields) == set(document.model_fields)


def test_a_webhook_is_created_with_its_secret(server: ScriptedServer, call: Call) -> None:
    server.script("POST", PATH, Reply(201, webhook(secret=SECRET)))
    created = call("create_webhook", "https://example.com/x", event_types=("tenant.*",), description="billing")
    assert (str(created.id), created.secret, created.event_types[0]) == (WEBHOOK_ID, SECRET, "tenant.*")
    assert SECRET not in repr(created)
    call("create_webhook", "https://example.com/x")
    first, second = (request.body for request in server.received)
    assert first == {"url": "https://example.com/x", "eventTypes": ["tenant.*"], "description": "billing"}
    assert second == {"url": "https://example.com/x", "eventTypes": []}


def test_a_url_that_another_webhook_has_is_a_conflict(server: ScriptedServer, call: Call) -> None:
    server.script("POST", PATH, problem(409, "webhook-exists"))
    with pytest.raises(ConflictError):
        call("create_webhook", "https://example.com/x")


def test_webhooks_are_read_changed_and_deleted(server: ScriptedServer, call: Call) -> None:
    server.script("GET", PATH, Reply(200, {"webhooks": [webhook(), webhook(state="failing")]}))
    assert [item.state for item in call("webhooks")] == ["active", "failing"]
    server.script("GET", WEBHOOK_PATH, Reply(200, webhook(novelty=1)))
    assert call("webhook", WEBHOOK_ID).as_json() == webhook(novelty=1)
    server.script("PATCH", WEBHOOK_PATH, Reply(200, webhook()))
    call("update_webhook", WEBHOOK_ID, url="https://example.com/y")
    call("update_webhook", WEBHOOK_ID, event_types=(), description="")
    call("pause_webhook", WEBHOOK_ID)
    call("resume_webhook", WEBHOOK_ID)
    changes = [request.body for request in server.received if request.body is not None]
    assert changes == [
        {"url": "https://example.com/y"},
        {"eventTypes": [], "description": ""},
        {"isPaused": True},
        {"isPaused": False},
    ]
    server.script("DELETE", WEBHOOK_PATH, Reply(204, b""), problem(404, "webhook-not-found"))
    assert call("delete_webhook", WEBHOOK_ID) is None
    with pytest.raises(Exception, match="no"):
        call("delete_webhook", WEBHOOK_ID)


def test_a_secret_is_rotated(server: ScriptedServer, call: Call) -> None:
    document = {"id": WEBHOOK_ID, "secret": SECRET, "oldSecretsExpireAt": "2026-02-01T12:00:00Z"}
    server.script("POST", f"{WEBHOOK_PATH}/rotate-secret", Reply(200, document))
    rotated = call("rotate_webhook_secret", WEBHOOK_ID)
    assert (rotated.secret, SECRET in repr(rotated)) == (SECRET, False)
    call("rotate_webhook_secret", WEBHOOK_ID, overlap_hours=0)
    assert [request.body for request in server.received] == [{}, {"overlapHours": 0}]


def test_a_test_event_is_sent(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"{WEBHOOK_PATH}/test", Reply(202, {"eventId": EVENT_ID}))
    assert str(call("send_test_event", WEBHOOK_ID).event_id) == EVENT_ID


def test_deliveries_are_read_page_by_page(server: ScriptedServer, call: Call) -> None:
    first = Reply(200, {"deliveries": [delivery()], "nextPageToken": "more"})
    last = Reply(200, {"deliveries": [delivery(status="dead", sequence=None)], "nextPageToken": None})
    server.script("GET", DELIVERIES_PATH, first, last)
    assert [item.status for item in call("deliveries", WEBHOOK_ID, status="dead")] == ["delivered", "dead"]
    assert server.received[1].query == [("status", "dead"), ("pageToken", "more")]


def test_deliveries_are_replayed(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"{DELIVERIES_PATH}/{EVENT_ID}/replay", Reply(202, {"replayed": 1}))
    assert call("replay_delivery", WEBHOOK_ID, EVENT_ID).replayed == 1
    server.script("POST", f"{WEBHOOK_PATH}/replay", Reply(202, {"replayed": 3}))
    assert call("replay_dead_deliveries", WEBHOOK_ID).replayed == 3
    call("replay_dead_deliveries", WEBHOOK_ID, occurred_after=START)
    bodies = [request.body for request in server.received]
    assert bodies == [None, {}, {"occurredAfter": "2026-01-31T12:00:00+00:00"}]
