"""Webhooks over HTTP: creating, reading, changing and deleting them."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from activities.webhooks.secrets import PREFIX
from app.gateway.webhooks.problems import MAX_SECRETS, MAX_WEBHOOKS
from app.gateway.webhooks.schemas import CreatedWebhookDocument, SecretDocument
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.webhooks.conftest import TABLES
from tests.app.worker.deliveries.outbox import Outbox

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/alga?token=in-the-url"


async def make(http: httpx.AsyncClient, url: str = URL, **fields: Any) -> dict[str, Any]:
    response = await http.post("/webhooks", json={"url": url, **fields})
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/webhooks/{document['id']}" == document["links"]["self"]
    return document


async def audited(http: httpx.AsyncClient, webhook_id: str) -> list[tuple[str, Any]]:
    """Return the actions on a webhook with their details, oldest first."""
    events = (await http.get("/audit-events", params={"pageSize": 200})).json()["events"]
    return [(event["action"], event["details"]) for event in reversed(events) if event["subject"] == webhook_id]


async def test_a_created_webhook_is_read_and_listed_without_its_secret(http: httpx.AsyncClient) -> None:
    made = await make(
        http, eventTypes=["tenant.*", "operation.failed", "tenant.*"], description=" the billing system "
    )
    secret = made.pop("secret")
    assert secret.startswith(PREFIX)
    shown = (await http.get(f"/webhooks/{made['id']}")).json()
    assert shown == made
    assert shown["eventTypes"] == ["tenant.*", "operation.failed"]
    assert (shown["url"], shown["description"], shown["state"]) == (URL, "the billing system", "active")
    assert shown["createdBy"].startswith("key:")
    other = await make(http, "https://hooks.example.com/other")
    assert (other["eventTypes"], other["description"]) == ([], None)
    listed = await http.get("/webhooks")
    assert [webhook["id"] for webhook in listed.json()["webhooks"]] == [made["id"], other["id"]]
    assert PREFIX not in listed.text


async def test_secrets_are_encrypted_and_audited_without_them_or_the_url(
    http: httpx.AsyncClient, outbox: Outbox
) -> None:
    made = await make(http)
    path = f"/webhooks/{made['id']}"
    rotated = (await http.post(f"{path}/rotate-secret")).json()
    assert (await http.patch(path, json={"url": f"{URL}-2"})).status_code == 200
    assert (await http.post(f"{path}/test")).status_code == 202
    assert (await http.post(f"{path}/replay")).status_code == 202
    stored = [
        str(await outbox.pool.fetch(f"SELECT * FROM alga_tenants.{table}"))  # noqa: S608 - named there
        for table in TABLES
    ]
    trail = (await http.get("/audit-events", params={"pageSize": 200})).text
    for secret in (made["secret"], rotated["secret"]):
        assert not any(secret.removeprefix(PREFIX) in text for text in [*stored, trail])
    assert "in-the-url" not in trail
    assert (await http.delete(path)).status_code == 204
    assert await audited(http, made["id"]) == [
        ("webhook.create", {"eventTypes": []}),
        ("webhook.rotate", {"overlapHours": 24}),
        ("webhook.change", {"changed": ["url"]}),
        ("webhook.test", {}),
        ("webhook.replay", {"replayed": 0}),
        ("webhook.delete", {}),
    ]


def test_documents_with_a_secret_do_not_print_it() -> None:
    fields: dict[str, Any] = dict.fromkeys(CreatedWebhookDocument.model_fields)
    for document in (CreatedWebhookDocument, SecretDocument):
        assert "whsec_visible" not in repr(document.model_construct(**{**fields, "secret": "whsec_visible"}))


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({}, "url", "is required"),
    ({"url": None}, "url", "string"),
    ({"url": ""}, "url", "must not be empty"),
    ({"url": "hooks.example.com"}, "url", "like https://example.com/events"),
    ({"url": "ftp://hooks.example.com/"}, "url", "like https://example.com/events"),
    ({"url": "https://ada:hunter2@hooks.example.com/"}, "url", "must not hold credentials"),
    ({"url": "https://hooks.example.com/#hunter2"}, "url", "fragment"),
    ({"url": "https://hooks.example.com/\u00e9"}, "url", "ASCII"),
    ({"url": "https://hooks.example.com/\n"}, "url", "ASCII"),
    ({"url": "https://10.1.2.3/hunter2"}, "url", "WEBHOOK_ALLOWED_NETWORKS"),
    ({"url": "http://93.184.215.14/"}, "url", "use https://"),
    ({"url": f"https://hooks.example.com/{'x' * 2000}"}, "url", "at most 2000 characters"),
    ({"url": URL, "eventTypes": "tenant.*"}, "eventTypes", "list"),
    ({"url": URL, "eventTypes": ["tenant.*"] * 30}, "eventTypes", "at most"),
    ({"url": URL, "eventTypes": ["tenant.created", "tenant.moved"]}, "eventTypes.1", "tenant.created, "),
    ({"url": URL, "eventTypes": ["webhook.test"]}, "eventTypes.0", "must be one of: tenant.*, "),
    ({"url": URL, "description": "a\nb"}, "description", "line breaks"),
    ({"url": URL, "description": "x" * 256}, "description", "at most 255 characters"),
    ({"url": URL, "secret": "hunter2"}, "secret", "known: url, eventTypes, description"),
]


@pytest.mark.parametrize(("body", "field", "detail"), INVALID)
async def test_an_invalid_webhook_names_the_field_and_the_fix(
    http: httpx.AsyncClient, body: dict[str, Any], field: str, detail: str
) -> None:
    response = await http.post("/webhooks", json=body)
    assert_problem(response, 422, "invalid-request")
    assert detail in faults(response)[field]
    assert "hunter2" not in response.text
    assert (await http.get("/webhooks")).json() == {"webhooks": []}


async def test_changes_follow_the_same_rules_as_new_webhooks(http: httpx.AsyncClient) -> None:
    made = await make(http)
    for body, field, detail in [
        *INVALID[2:-1],
        ({}, "body", "url, eventTypes, description or isPaused"),
        ({"url": None}, "url", "must not be null"),
        ({"eventTypes": None}, "eventTypes", "must not be null"),
        ({"isPaused": None}, "isPaused", "must not be null"),
        ({"isPaused": "yes"}, "isPaused", "must be true or false"),
    ]:
        response = await http.patch(made["links"]["self"], json=body)
        assert_problem(response, 422, "invalid-request")
        assert detail in faults(response)[field]
    del made["secret"]
    assert (await http.get(made["links"]["self"])).json() == made


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("rotate-secret", {"overlapHours": -1}, "overlapHours"),
        ("rotate-secret", {"overlapHours": 721}, "overlapHours"),
        ("rotate-secret", {"overlapHours": "24"}, "overlapHours"),
        ("replay", {"occurredAfter": "2026-01-31T12:00:00"}, "occurredAfter"),
        ("replay", {"occurredBefore": 1_700_000_000}, "occurredBefore"),
        ("replay", {"since": "2026-01-31T12:00:00Z"}, "since"),
    ],
)
async def test_an_invalid_rotation_or_replay_names_the_field(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    made = await make(http)
    response = await http.post(f"{made['links']['self']}/{path}", json=body)
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == [field]


async def test_what_is_left_out_of_a_change_stays(http: httpx.AsyncClient) -> None:
    made = await make(http, eventTypes=["tenant.*"], description="billing")
    del made["secret"]
    path = made["links"]["self"]
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"eventTypes": []}, {"eventTypes": []}),
        ({"description": None}, {"description": None}),
        ({"description": "crm"}, {"description": "crm"}),
        ({"description": ""}, {"description": None}),
        ({"url": "https://hooks.example.com/new"}, {"url": "https://hooks.example.com/new"}),
        ({"url": "https://hooks.example.com/new"}, {}),
    ]
    for change, shown in changes:
        made |= shown
        response = await http.patch(path, json=change)
        assert response.json() == made
        assert (await http.get(path)).json() == made


async def test_one_url_has_one_webhook(http: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(http.post("/webhooks", json={"url": URL}) for _ in range(6)))
    [created] = [response.json() for response in responses if response.status_code == 201]
    for response in responses:
        if response.status_code != 201:
            assert_problem(response, 409, "webhook-exists")
            assert created["id"] in response.json()["detail"]
    other = await make(http, "https://hooks.example.com/other")
    response = await http.patch(other["links"]["self"], json={"url": URL, "description": "changed"})
    assert_problem(response, 409, "webhook-exists")
    assert (await http.get(other["links"]["self"])).json()["description"] is None
    assert (await http.delete(created["links"]["self"])).status_code == 204
    assert (await http.patch(other["links"]["self"], json={"url": URL})).status_code == 200


async def test_the_number_of_webhooks_is_limited(http: httpx.AsyncClient) -> None:
    for number in range(MAX_WEBHOOKS - 1):
        await make(http, f"https://hooks.example.com/{number}")
    urls = [f"https://hooks.example.com/last-{number}" for number in range(4)]
    responses = await asyncio.gather(*(http.post("/webhooks", json={"url": url}) for url in urls))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]
    refused = next(response for response in responses if response.status_code == 409)
    assert_problem(refused, 409, "too-many-webhooks")
    assert f"There are {MAX_WEBHOOKS} webhooks" in refused.json()["detail"]


async def test_the_number_of_valid_secrets_is_limited(http: httpx.AsyncClient) -> None:
    path = f"{(await make(http))['links']['self']}/rotate-secret"
    for _ in range(MAX_SECRETS - 1):
        assert (await http.post(path)).status_code == 200
    assert_problem(await http.post(path), 409, "too-many-secrets")
    assert (await http.post(path, json={"overlapHours": 0})).status_code == 200
    assert (await http.post(path)).status_code == 200


async def test_a_url_is_not_changed_while_its_secrets_are_unreadable(http: httpx.AsyncClient, outbox: Outbox) -> None:
    made = await make(http)
    await outbox.pool.execute("UPDATE alga_tenants.webhooks SET url = 'https://hooks.example.com/forged'")
    response = await http.patch(made["links"]["self"], json={"url": URL})
    assert_problem(response, 409, "webhook-secret-unreadable")
    rotated = await http.post(f"{made['links']['self']}/rotate-secret", json={"overlapHours": 0})
    assert rotated.status_code == 200
    assert (await http.patch(made["links"]["self"], json={"url": URL})).json()["url"] == URL


OF_ONE = [
    ("GET", "", None),
    ("PATCH", "", {"isPaused": True}),
    ("DELETE", "", None),
    ("POST", "/rotate-secret", None),
    ("POST", "/test", None),
    ("GET", "/deliveries", None),
    ("POST", "/replay", None),
    ("POST", f"/deliveries/{uuid4()}/replay", None),
]


@pytest.mark.parametrize("webhook_id", ["unknown", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"])
async def test_an_unknown_webhook_is_not_found(http: httpx.AsyncClient, webhook_id: str) -> None:
    for method, path, body in OF_ONE:
        response = await http.request(method, f"/webhooks/{webhook_id}{path}", json=body)
        assert_problem(response, 404, "webhook-not-found")
