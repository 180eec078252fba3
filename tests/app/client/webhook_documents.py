"""Documents of webhooks and their deliveries, as the gateway sends them."""

from app.client.calls.webhooks import PATH

WEBHOOK_ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
EVENT_ID = "0b1f6a52-7c1e-4b5e-9a43-6c1f0f6d2a11"
WEBHOOK_PATH = f"{PATH}/{WEBHOOK_ID}"
DELIVERIES_PATH = f"{WEBHOOK_PATH}/deliveries"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def webhook(**changes: object) -> dict[str, object]:
    """Return the document of a webhook."""
    return {
        "id": WEBHOOK_ID,
        "url": "https://example.com/alga-events",
        "eventTypes": ["tenant.*", "operation.needs_attention"],
        "description": "billing",
        "state": "active",
        "createdAt": "2026-01-31T12:00:00Z",
        "createdBy": "key:ops",
        "failingSince": None,
        "pausedAt": None,
        "pauseReason": None,
        "links": {"self": WEBHOOK_PATH, "deliveries": DELIVERIES_PATH},
        **changes,
    }


def attempt(number: int = 1, **changes: object) -> dict[str, object]:
    """Return the document of an attempt."""
    return {
        "attempt": number,
        "startedAt": "2026-01-31T12:00:01Z",
        "milliseconds": 15,
        "statusCode": 204,
        "error": None,
        **changes,
    }


def failed_attempt(number: int = 1) -> dict[str, object]:
    """Return the document of an attempt without a response."""
    return attempt(number, statusCode=None, error="the receiver refused the connection")


def delivery(**changes: object) -> dict[str, object]:
    """Return the document of a delivery."""
    return {
        "eventId": EVENT_ID,
        "type": "tenant.created",
        "tenantId": "7d0c1a52-5c1e-4c52-9b0e-3f6f3e6d2a22",
        "sequence": 2,
        "occurredAt": "2026-01-31T12:00:00Z",
        "status": "delivered",
        "nextTryAt": None,
        "endedAt": "2026-01-31T12:00:02Z",
        "attempts": [attempt()],
        **changes,
    }
