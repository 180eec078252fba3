"""Receivers that fail, redirect, want no more events, or hang."""

import asyncio
import threading
from datetime import timedelta
from http import HTTPStatus

import pytest

from activities.webhooks.rows import replay, resume, rotate_secret
from app.webhooks import secret_box
from tests.app.worker.deliveries.outbox import PATIENCE, Outbox
from tests.support.servers.receiver import Receiver, Reply
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

QUICK = (0.05, 0.05)


async def test_a_failed_delivery_is_repeated_with_the_same_id_until_it_succeeds(
    outbox: Outbox, receiver: Receiver
) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(500 if len(receiver.received) < 3 else 204)
    await outbox.add_operation()
    async with outbox.worker(delays=QUICK):
        await outbox.until_ended(webhook_id)
    assert len({request.id for request in receiver.received}) == 1
    statuses = [(row["attempt"], row["status_code"]) for row in await outbox.attempts(webhook_id)]
    assert statuses == [(1, 500), (2, 500), (3, 204)]
    assert (await outbox.the_delivery(webhook_id))["status"] == "delivered"
    assert (await outbox.webhook(webhook_id))["failing_since"] is None


async def test_the_first_failure_is_noted_until_a_success(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(500)
    await outbox.add_operation()
    async with outbox.worker():
        await outbox.until_attempted(webhook_id)
    assert (await outbox.webhook(webhook_id))["failing_since"] is not None
    delivery = await outbox.the_delivery(webhook_id)
    assert (delivery["status"], delivery["claimed_until"]) == ("pending", None)
    assert delivery["due_at"] > delivery["created_at"]


async def test_after_the_last_attempt_a_delivery_is_a_dead_letter_that_a_replay_delivers(
    outbox: Outbox, receiver: Receiver
) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(503)
    await outbox.add_operation()
    async with outbox.worker(delays=QUICK):
        await outbox.until_ended(webhook_id)
        dead = await outbox.the_delivery(webhook_id)
        assert (dead["status"], dead["attempts"]) == ("dead", 3)
        receiver.reply = lambda _: Reply()
        async with outbox.engine.begin() as connection:
            assert await replay(connection, webhook_id, dead["event_id"])
        await outbox.until_attempted(webhook_id, 4)
        await outbox.until_ended(webhook_id)
    assert (await outbox.the_delivery(webhook_id))["status"] == "delivered"


async def test_a_redirect_is_a_failure_and_is_not_followed(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(HTTPStatus.TEMPORARY_REDIRECT, {"Location": receiver.url("/elsewhere")})
    await outbox.add_operation()
    async with outbox.worker(delays=()):
        await outbox.until_ended(webhook_id)
    [attempt] = await outbox.attempts(webhook_id)
    assert attempt["status_code"] == HTTPStatus.TEMPORARY_REDIRECT
    assert "redirects" in attempt["error"]
    assert [request.path for request in receiver.received] == ["/events"]
    assert receiver.refused == []


async def test_a_receiver_that_is_gone_pauses_its_webhook_whose_events_wait_until_it_is_resumed(
    outbox: Outbox, receiver: Receiver
) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(HTTPStatus.GONE)
    await outbox.add_operation()
    async with outbox.worker():
        await outbox.until_attempted(webhook_id)
        webhook = await outbox.webhook(webhook_id)
        assert webhook["paused_at"] is not None
        assert "410" in webhook["pause_reason"]
        await outbox.add_operation()
        other = await outbox.add_webhook(receiver, "/other")
        await outbox.add_operation()
        receiver.reply = lambda _: Reply()
        await outbox.until_ended(other)
        assert len(receiver.received_at("/events")) == 1
        async with outbox.engine.begin() as connection:
            assert await resume(connection, webhook_id)
        await outbox.until_ended(webhook_id, 3)
    assert {row["status"] for row in (await outbox.deliveries(webhook_id)).values()} == {"delivered"}


async def test_a_webhook_that_has_failed_for_five_days_is_paused(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.reply = lambda _: Reply(500)
    await outbox.pool.execute("UPDATE alga_tenants.webhooks SET failing_since = now() - interval '5 days 1 minute'")
    await outbox.add_operation()
    async with outbox.worker():
        await outbox.until_attempted(webhook_id)
    webhook = await outbox.webhook(webhook_id)
    assert "five days" in webhook["pause_reason"]
    assert (await outbox.the_delivery(webhook_id))["status"] == "pending"


async def test_a_receiver_that_hangs_delays_no_other_and_a_drain_waits_for_it(
    outbox: Outbox, receiver: Receiver
) -> None:
    hanging, other = await outbox.add_webhook(receiver, "/hanging"), await outbox.add_webhook(receiver, "/other")
    released = threading.Event()
    receiver.reply = lambda request: Reply(after=released if request.path == "/hanging" else None)
    number = 30
    for _ in range(number):
        await outbox.add_operation()
    async with outbox.worker() as stop:
        await outbox.until_ended(other, number)
        # Requests that hang have used what one webhook may have, and no more.
        assert len(receiver.received_at("/hanging")) == 8
        stop.set()
        released.set()
    ended = [row["status"] for row in (await outbox.deliveries(hanging)).values() if row["ended_at"] is not None]
    assert ended == ["delivered"] * 8


async def test_a_failing_webhook_gets_one_request_at_a_time(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    await outbox.pool.execute("UPDATE alga_tenants.webhooks SET failing_since = now()")
    released = threading.Event()
    receiver.reply = lambda _: Reply(after=released)
    for _ in range(3):
        await outbox.add_operation()
    async with outbox.worker():
        await wait_until(lambda: _has_received(receiver, 1), timeout=PATIENCE, every=0.02)
        # Two more looks for what is due.
        looks = len(outbox.problems)
        await wait_until(lambda: _has_looked(outbox, looks + 2), timeout=PATIENCE, every=0.02)
        assert len(receiver.received) == 1
        released.set()
        await outbox.until_ended(webhook_id, 3)


async def test_both_secrets_sign_while_a_rotation_overlaps(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    former = receiver.secrets["/events"]
    async with outbox.engine.begin() as connection:
        new = await rotate_secret(connection, secret_box(outbox.settings()), webhook_id, timedelta(hours=1))
    assert new is not None
    assert new != former
    async with outbox.worker():
        for number, secret in enumerate((former, new), start=1):
            receiver.secrets["/events"] = secret
            await outbox.add_operation()
            await outbox.until_ended(webhook_id, number)
        await outbox.pool.execute(
            "UPDATE alga_tenants.webhook_secrets SET expires_at = now() WHERE expires_at > now()"
        )
        await outbox.add_operation()
        await outbox.until_ended(webhook_id, 3)
    assert [len(request.headers["webhook-signature"].split()) for request in receiver.received] == [2, 2, 1]
    assert receiver.refused == []


async def test_nothing_is_sent_to_a_url_that_was_changed_in_the_database(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    receiver.secrets["/stolen"] = receiver.secrets["/events"]
    await outbox.pool.execute("UPDATE alga_tenants.webhooks SET url = $1", receiver.url("/stolen"))
    await outbox.add_operation()
    async with outbox.worker():
        await outbox.until_attempted(webhook_id)
    assert (receiver.received, receiver.refused) == ([], [])
    assert "no secret can be read" in (await outbox.webhook(webhook_id))["pause_reason"]


async def _has_received(receiver: Receiver, number: int) -> bool:
    await asyncio.sleep(0)
    return len(receiver.received) >= number


async def _has_looked(outbox: Outbox, number: int) -> bool:
    await asyncio.sleep(0)
    return len(outbox.problems) >= number
