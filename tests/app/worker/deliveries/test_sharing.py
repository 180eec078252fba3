"""Workers that share deliveries, die, or lose the database."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import pytest

from activities.webhooks.claims import claim, note
from activities.webhooks.sending import Attempt, Outcome
from tests.app.worker.deliveries.outbox import PATIENCE, Outbox
from tests.support.engines import engine_on
from tests.support.round_trips import counting_proxy
from tests.support.servers.proxy import Proxy
from tests.support.servers.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


async def test_two_workers_deliver_each_event_once_and_sequences_have_no_gaps(
    outbox: Outbox, receiver: Receiver
) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    tenants = [await outbox.add_operation() for _ in range(3)]
    async with outbox.worker(), outbox.worker():
        await asyncio.gather(*(outbox.add_operation(tenant) for tenant in tenants for _ in range(39)))
        await outbox.until_ended(webhook_id, 120)
    assert len({request.id for request in receiver.received}) == len(receiver.received) == 120
    for tenant in tenants:
        own = [request.document for request in receiver.received if request.document["subject"] == str(tenant)]
        assert sorted(int(document["sequence"]) for document in own) == list(range(1, 41))


async def test_a_claim_is_taken_over_when_it_has_expired(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    await outbox.add_operation()
    [claimed] = await claim(outbox.engine, free=10, each=10, busy={})
    assert await claim(outbox.engine, free=10, each=10, busy={}) == []
    await outbox.pool.execute("UPDATE alga_tenants.deliveries SET claimed_until = now() - interval '1 second'")
    async with outbox.worker():
        await outbox.until_ended(webhook_id)
    # The first worker was only slow: what it notes now does not count.
    late = Attempt(Outcome.REJECTED, claimed.event.occurred_at, 1, 500, "too late")
    assert not (await note(outbox.engine, claimed, late, 5.0)).is_noted
    assert (await outbox.the_delivery(webhook_id))["status"] == "delivered"
    assert len(await outbox.attempts(webhook_id)) == 1


async def test_claims_respect_both_limits(outbox: Outbox, receiver: Receiver) -> None:
    webhooks = [await outbox.add_webhook(receiver, f"/{number}") for number in range(3)]
    for _ in range(5):
        await outbox.add_operation()
    claimed = await claim(outbox.engine, free=10, each=3, busy={webhooks[0]: 2, webhooks[1]: 3})
    assert sorted(each.url[-1] for each in claimed) == ["0", "2", "2", "2"]
    assert len(await claim(outbox.engine, free=2, each=3, busy={})) == 2


async def test_deliveries_go_on_after_an_outage_of_the_database(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    direct = urlsplit(outbox.database)
    async with (
        Proxy(direct.port or 0) as proxy,
        outbox.worker(admin_database_url=through(outbox.database, proxy.port)),
    ):
        await wait_until(lambda: _last_is(outbox, well=True), timeout=PATIENCE, every=0.02)
        proxy.refuse()
        await wait_until(lambda: _last_is(outbox, well=False), timeout=PATIENCE, every=0.02)
        await outbox.add_operation()
        await proxy.accept()
        await outbox.until_ended(webhook_id)
        await wait_until(lambda: _last_is(outbox, well=True), timeout=PATIENCE, every=0.02)


async def test_an_unexpected_error_is_reported_and_the_loop_goes_on(
    outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    monkeypatch.setattr("app.worker.deliveries.RETRY_SECONDS", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr("app.worker.deliveries.claim", None)
        async with outbox.worker():
            await wait_until(lambda: _last_is(outbox, well=False), timeout=PATIENCE, every=0.02)
            patch.undo()
            await outbox.add_operation()
            await outbox.until_ended(webhook_id)
    assert outbox.problems[0] == "claims failed with TypeError"
    assert outbox.problems[-1] is None


async def test_a_look_for_due_deliveries_is_one_round_trip(outbox: Outbox, receiver: Receiver) -> None:
    await outbox.add_webhook(receiver)
    direct = urlsplit(outbox.database)
    async with (
        counting_proxy(direct.port or 0) as (port, trips),
        engine_on(through(outbox.database, port)) as engine,
    ):
        taken = []
        for _ in range(3):
            before = trips.count
            assert await claim(engine, free=10, each=10, busy={}) == []
            taken.append(trips.count - before)
    assert taken[-1] == 1


def through(database: str, port: int) -> str:
    """Return the URL of the database behind a proxy."""
    direct = urlsplit(database)
    return urlunsplit(direct._replace(netloc=f"{direct.netloc.rpartition(':')[0]}:{port}"))


async def _last_is(outbox: Outbox, *, well: bool) -> bool:
    await asyncio.sleep(0)
    return bool(outbox.problems) and (outbox.problems[-1] is None) is well
