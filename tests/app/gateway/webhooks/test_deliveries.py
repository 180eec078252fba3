"""Deliveries over HTTP, with the loop that a worker runs: their list, tests, rotation, pauses and replays."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.app.gateway.requests import assert_problem
from tests.app.gateway.webhooks.conftest import Add
from tests.app.worker.deliveries.outbox import PATIENCE, Outbox
from tests.support.servers.receiver import Receiver, Reply
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

FAILING = Reply(HTTPStatus.INTERNAL_SERVER_ERROR)
# All attempts of a delivery, without time between them.
AT_ONCE = (0.0, 0.0)


async def deliveries_of(http: httpx.AsyncClient, webhook: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    response = await http.get(webhook["links"]["deliveries"], params=wanted)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["deliveries"]
    return found


async def until(http: httpx.AsyncClient, webhook: dict[str, Any], statuses: Sequence[str]) -> list[dict[str, Any]]:
    """Return the deliveries, newest first, once they have these statuses."""
    found: list[dict[str, Any]] = []

    async def is_so() -> bool:
        nonlocal found
        found = await deliveries_of(http, webhook)
        return [delivery["status"] for delivery in found] == list(statuses)

    await wait_until(is_so, timeout=PATIENCE, every=0.02)
    return found


async def state_of(http: httpx.AsyncClient, webhook: dict[str, Any]) -> tuple[str, str | None]:
    shown = (await http.get(webhook["links"]["self"])).json()
    return shown["state"], shown["pauseReason"]


async def test_a_test_event_reaches_only_its_webhook(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook, other = await add(eventTypes=["tenant.deleted"]), await add("/other")
    response = await http.post(f"{webhook['links']['self']}/test")
    assert response.status_code == 202
    async with outbox.worker():
        [delivery] = await until(http, webhook, ["delivered"])
    [request] = receiver.received
    assert (request.path, request.id) == ("/events", response.json()["eventId"])
    assert (request.document["type"], request.document["data"]) == ("webhook.test", {"webhookId": webhook["id"]})
    [attempt] = delivery.pop("attempts")
    assert (attempt["attempt"], attempt["statusCode"], attempt["error"]) == (1, 204, None)
    assert attempt["milliseconds"] >= 0
    assert (delivery["eventId"], delivery["type"]) == (request.id, "webhook.test")
    assert (delivery["tenantId"], delivery["sequence"], delivery["nextTryAt"]) == (None, None, None)
    assert delivery["endedAt"] >= delivery["occurredAt"]
    assert await deliveries_of(http, other) == []


async def test_events_are_signed_with_old_and_new_secret_until_the_overlap_ends(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook = await add()
    path = webhook["links"]["self"]
    rotated = (await http.post(f"{path}/rotate-secret", json={"overlapHours": 2})).json()
    overlap = datetime.fromisoformat(rotated["oldSecretsExpireAt"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < overlap < timedelta(minutes=121)
    async with outbox.worker():
        await http.post(f"{path}/test")
        await until(http, webhook, ["delivered"])
        assert len(receiver.received[0].headers["webhook-signature"].split()) == 2
        receiver.secrets["/events"] = rotated["secret"]
        await http.post(f"{path}/test")
        await until(http, webhook, ["delivered"] * 2)
        last = (await http.post(f"{path}/rotate-secret", json={"overlapHours": 0})).json()
        receiver.secrets["/events"] = last["secret"]
        await http.post(f"{path}/test")
        await until(http, webhook, ["delivered"] * 3)
    assert receiver.refused == []
    assert len(receiver.received[-1].headers["webhook-signature"].split()) == 1


async def test_deliveries_are_listed_newest_first_in_pages(http: httpx.AsyncClient, add: Add, outbox: Outbox) -> None:
    webhook = await add()
    tenants = [str(await outbox.add_operation()) for _ in range(5)]
    params: dict[str, Any] = {"pageSize": 2}
    found: list[dict[str, Any]] = []
    for size in (2, 2, 1):
        page = (await http.get(webhook["links"]["deliveries"], params=params)).json()
        assert len(page["deliveries"]) == size
        found += page["deliveries"]
        params["pageToken"] = page["nextPageToken"]
    assert params["pageToken"] is None
    assert [delivery["tenantId"] for delivery in found] == tenants[::-1]
    assert {(each["type"], each["sequence"], each["status"]) for each in found} == {
        ("operation.queued", 1, "pending")
    }
    assert all(each["nextTryAt"] is not None and each["attempts"] == [] for each in found)


@pytest.mark.parametrize(
    ("name", "value"), [("status", "lost"), ("pageSize", "201"), ("pageSize", "0"), ("pageToken", "next")]
)
async def test_a_bad_parameter_of_the_list_is_named(http: httpx.AsyncClient, add: Add, name: str, value: str) -> None:
    response = await http.get((await add())["links"]["deliveries"], params={name: value})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["field"] == name


async def test_a_failing_receiver_is_shown_and_its_dead_deliveries_are_replayed(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook = await add()
    path = webhook["links"]["self"]
    receiver.reply = lambda _: FAILING
    await outbox.add_operation()
    async with outbox.worker(delays=AT_ONCE):
        await until(http, webhook, ["dead"])
        assert await state_of(http, webhook) == ("failing", None)
        between = datetime.now(UTC).isoformat()
        await outbox.add_operation()
        newer, older = await until(http, webhook, ["dead", "dead"])
        assert [attempt["statusCode"] for attempt in older["attempts"]] == [500] * 3
        assert all("did not respond with a status of success" in each["error"] for each in older["attempts"])
        assert await deliveries_of(http, webhook, status="pending") == []

        receiver.reply = lambda _: Reply()
        nothing = {"occurredAfter": between, "occurredBefore": between}
        for body, replayed in [(nothing, 0), ({"occurredAfter": between}, 1)]:
            response = await http.post(f"{path}/replay", json=body)
            assert (response.status_code, response.json()) == (202, {"replayed": replayed})
        await until(http, webhook, ["delivered", "dead"])
        assert (await http.post(f"{path}/replay")).json() == {"replayed": 1}
        _, older = await until(http, webhook, ["delivered", "delivered"])
    assert [attempt["statusCode"] for attempt in older["attempts"]] == [500, 500, 500, 204]
    assert [attempt["attempt"] for attempt in older["attempts"]] == [1, 2, 3, 4]
    assert {older["eventId"], newer["eventId"]} == {request.id for request in receiver.received}
    assert await state_of(http, webhook) == ("active", None)


async def test_one_event_is_delivered_again_with_the_same_id(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook, other = await add(), await add("/other", eventTypes=["tenant.deleted"])
    await outbox.add_operation()
    async with outbox.worker():
        [delivery] = await until(http, webhook, ["delivered"])
        response = await http.post(f"{webhook['links']['deliveries']}/{delivery['eventId']}/replay")
        assert (response.status_code, response.json()) == (202, {"replayed": 1})
        await wait_until(lambda: arrived(receiver, 2), timeout=PATIENCE, every=0.02)
    assert [request.id for request in receiver.received] == [delivery["eventId"]] * 2
    for path in (
        f"{other['links']['deliveries']}/{delivery['eventId']}",
        f"{webhook['links']['deliveries']}/unknown",
    ):
        assert_problem(await http.post(f"{path}/replay"), 404, "delivery-not-found")
    assert_problem(await http.post(f"{webhook['links']['deliveries']}/{uuid4()}/replay"), 404, "delivery-not-found")


async def test_deliveries_wait_while_the_webhook_is_paused(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook, other = await add(), await add("/other")
    paused = (await http.patch(webhook["links"]["self"], json={"isPaused": True})).json()
    assert paused["state"] == "paused"
    assert paused["pauseReason"].startswith("paused by key:")
    assert paused["pausedAt"] is not None
    await outbox.add_operation()
    async with outbox.worker():
        await until(http, other, ["delivered"])
        await until(http, webhook, ["pending"])
        resumed = (await http.patch(webhook["links"]["self"], json={"isPaused": False})).json()
        assert (resumed["state"], resumed["pauseReason"], resumed["pausedAt"]) == ("active", None, None)
        await until(http, webhook, ["delivered"])
    assert [request.path for request in receiver.received] == ["/other", "/events"]


async def test_a_webhook_that_its_receiver_does_not_want_is_resumed(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook = await add()
    receiver.reply = lambda _: Reply(HTTPStatus.GONE)
    await outbox.add_operation()

    async def is_paused() -> bool:
        return (await state_of(http, webhook))[0] == "paused"

    async with outbox.worker():
        await wait_until(is_paused, timeout=PATIENCE, every=0.02)
        assert "410" in str((await state_of(http, webhook))[1])
        receiver.reply = lambda _: Reply()
        await http.patch(webhook["links"]["self"], json={"isPaused": False})
        await until(http, webhook, ["delivered"])


async def test_a_changed_url_and_changed_types_count_for_what_follows(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook = await add(eventTypes=["tenant.*"])
    await outbox.add_operation()
    receiver.secrets["/moved"] = webhook["secret"]
    changes = {"url": receiver.url("/moved"), "eventTypes": ["operation.queued"]}
    assert (await http.patch(webhook["links"]["self"], json=changes)).status_code == 200
    tenant = await outbox.add_operation()
    async with outbox.worker():
        await until(http, webhook, ["delivered"])
    [request] = receiver.received
    assert (request.path, request.document["subject"]) == ("/moved", str(tenant))


async def test_a_deleted_webhook_receives_nothing_more(
    http: httpx.AsyncClient, add: Add, outbox: Outbox, receiver: Receiver
) -> None:
    webhook, other = await add(), await add("/other")
    await outbox.add_operation()
    assert (await http.delete(webhook["links"]["self"])).status_code == 204
    assert_problem(await http.get(webhook["links"]["deliveries"]), 404, "webhook-not-found")
    async with outbox.worker():
        await until(http, other, ["delivered"])
    assert [request.path for request in receiver.received] == ["/other"]


async def arrived(receiver: Receiver, number: int) -> bool:
    return len(receiver.received) == number
