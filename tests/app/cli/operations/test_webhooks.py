"""The commands for webhooks and their deliveries."""

from collections.abc import Callable

import pytest

from app.client.calls.webhooks import PATH
from tests.app.cli.conftest import Ran, Run
from tests.app.client.scripted_server import Reply, ScriptedServer, problem
from tests.app.client.webhook_documents import (
    DELIVERIES_PATH,
    EVENT_ID,
    SECRET,
    WEBHOOK_ID,
    WEBHOOK_PATH,
    attempt,
    delivery,
    failed_attempt,
    webhook,
)

TEST_PATH = f"{WEBHOOK_PATH}/test"
REPLAY_PATH = f"{WEBHOOK_PATH}/replay"
TEST_EVENT = Reply(202, {"eventId": EVENT_ID})


def listed(*deliveries: dict[str, object]) -> Reply:
    return Reply(200, {"deliveries": list(deliveries), "nextPageToken": None})


def lines_of(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.stderr
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


def test_a_new_webhook_shows_its_secret_and_says_to_keep_it(server: ScriptedServer, run: Run) -> None:
    server.script("POST", PATH, Reply(201, webhook(secret=SECRET)))
    arguments = ("https://example.com/x", "--event-type=tenant.*", "--event-type=operation.failed")
    ran = run("webhooks", "create", *arguments, "--description=billing")
    assert lines_of(ran)[0] == f"{WEBHOOK_ID} active"
    assert lines_of(ran)[-1] == f"secret {SECRET}"
    assert "Keep the secret now" in ran.stderr
    assert server.received[0].body == {
        "url": "https://example.com/x",
        "eventTypes": ["tenant.*", "operation.failed"],
        "description": "billing",
    }
    assert run("webhooks", "create", "https://example.com/x", "--json").document == webhook(secret=SECRET)


def test_a_refused_url_is_named_as_the_receivers(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "url", "detail": "must begin with https://"}]
    server.script("POST", PATH, problem(422, "invalid-request", "url: must begin with https://", errors=errors))
    ran = run("webhooks", "create", "http://example.com/x")
    assert (ran.code, "URL of the receiver must begin with https://" in ran.stderr) == (2, True)


def test_an_unknown_type_is_named_as_its_option(server: ScriptedServer, run: Run) -> None:
    errors = [{"field": "eventTypes.0", "detail": "must be one of: tenant.*"}]
    server.script("POST", PATH, problem(422, "invalid-request", "no", errors=errors))
    ran = run("webhooks", "create", "https://example.com/x", "--event-type=tenants")
    assert (ran.code, "--event-type must be one of" in ran.stderr) == (2, True)


@pytest.mark.parametrize(("status", "code"), [(403, 6), (404, 4), (409, 7)])
def test_a_refusal_exits_with_its_status(server: ScriptedServer, run: Run, status: int, code: int) -> None:
    server.script("GET", WEBHOOK_PATH, problem(status, "refused"))
    assert run("webhooks", "show", WEBHOOK_ID).code == code


def test_webhooks_are_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    documents = [webhook(), webhook(eventTypes=[], state="paused")]
    server.script("GET", PATH, Reply(200, {"webhooks": documents}))
    header, first, second = lines_of(run("webhooks", "list"))
    assert header == "url state events created webhook id"
    assert first == f"https://example.com/alga-events active tenant.* and 1 more 2026-01-31 {WEBHOOK_ID}"
    assert second == f"https://example.com/alga-events paused all 2026-01-31 {WEBHOOK_ID}"
    assert run("webhooks", "list", "--json").document == {"webhooks": documents}


def test_a_paused_webhook_is_shown_with_the_reason(server: ScriptedServer, run: Run) -> None:
    paused = webhook(state="paused", pausedAt="2026-02-01T12:00:00Z", pauseReason="paused by key:ops")
    server.script("GET", WEBHOOK_PATH, Reply(200, paused))
    heading, *details = lines_of(run("webhooks", "show", WEBHOOK_ID))
    assert heading == f"{WEBHOOK_ID} paused"
    assert {"events tenant.*, operation.needs_attention", "reason paused by key:ops"} <= set(details)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("update", WEBHOOK_ID, "--receiver=https://example.com/y"), {"url": "https://example.com/y"}),
        (("update", WEBHOOK_ID, "--event-type=tenant.created"), {"eventTypes": ["tenant.created"]}),
        (("update", WEBHOOK_ID, "--all-events", "--description="), {"eventTypes": [], "description": ""}),
        (("pause", WEBHOOK_ID), {"isPaused": True}),
        (("resume", WEBHOOK_ID), {"isPaused": False}),
    ],
)
def test_what_is_given_is_changed(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], body: dict[str, object]
) -> None:
    server.script("PATCH", WEBHOOK_PATH, Reply(200, webhook()))
    assert lines_of(run("webhooks", *arguments))[0] == f"{WEBHOOK_ID} active"
    assert server.received[0].body == body


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("update", WEBHOOK_ID), "give --receiver, --event-type, --all-events or --description"),
        (("update", WEBHOOK_ID, "--all-events", "--event-type=tenant.*"), "can't be combined with --event-type"),
        (("replay", WEBHOOK_ID), "give the id of an event, or --dead"),
        (("replay", WEBHOOK_ID, EVENT_ID, "--dead"), "give the id of an event, or --dead"),
        (("replay", WEBHOOK_ID, EVENT_ID, "--occurred-after=2026-01-31"), "only with --dead"),
        (("delete", WEBHOOK_ID), "give --yes to go ahead"),
    ],
)
def test_invalid_usage_says_what_to_give(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], message: str
) -> None:
    ran = run("webhooks", *arguments)
    assert (ran.code, server.received) == (2, [])
    assert message in " ".join(ran.stderr.replace("│", "").split())


def test_a_webhook_is_deleted_after_a_confirmation(
    server: ScriptedServer, run: Run, run_at_terminal: Callable[..., Ran]
) -> None:
    server.script("DELETE", WEBHOOK_PATH, Reply(204, b""))
    assert run_at_terminal("webhooks", "delete", WEBHOOK_ID, typed="n").code == 3
    assert server.received == []
    assert lines_of(run("webhooks", "delete", WEBHOOK_ID, "--yes")) == [f"deleted {WEBHOOK_ID}"]
    assert len(server.received) == 1


def test_a_rotated_secret_is_shown_with_the_end_of_the_old_one(server: ScriptedServer, run: Run) -> None:
    document = {"id": WEBHOOK_ID, "secret": SECRET, "oldSecretsExpireAt": "2026-02-01T12:00:00Z"}
    server.script("POST", f"{WEBHOOK_PATH}/rotate-secret", Reply(200, document))
    ran = run("webhooks", "rotate-secret", WEBHOOK_ID, "--overlap-hours=2")
    secret, overlap = lines_of(ran)
    assert (secret, overlap.startswith("old one until 2026-02-01")) == (f"secret {SECRET}", True)
    assert "Keep the secret now" in ran.stderr
    assert server.received[0].body == {"overlapHours": 2}
    assert run("webhooks", "rotate-secret", WEBHOOK_ID, "--json").document == document


@pytest.mark.parametrize(
    ("ended", "code", "shown"),
    [
        (delivery(), 0, "204"),
        (
            delivery(status="pending", attempts=[failed_attempt()]),
            1,
            "no response the receiver refused the connection",
        ),
    ],
)
def test_a_test_waits_for_the_first_attempt(
    server: ScriptedServer, run: Run, ended: dict[str, object], code: int, shown: str
) -> None:
    server.script("GET", WEBHOOK_PATH, Reply(200, webhook()))
    server.script("POST", TEST_PATH, TEST_EVENT)
    server.script("GET", DELIVERIES_PATH, listed(), listed(delivery(status="pending", attempts=[])), listed(ended))
    ran = run("webhooks", "test", WEBHOOK_ID)
    assert (ran.code, f"sent {EVENT_ID}" in ran.stderr) == (code, True)
    assert shown in " ".join(ran.stdout.split())


def test_a_test_that_no_worker_sends_exits_8(server: ScriptedServer, run: Run) -> None:
    server.script("GET", WEBHOOK_PATH, Reply(200, webhook()))
    server.script("POST", TEST_PATH, TEST_EVENT)
    server.script("GET", DELIVERIES_PATH, listed(delivery(status="pending", attempts=[])))
    ran = run("webhooks", "test", WEBHOOK_ID, "--timeout=0", "--json")
    assert (ran.code, ran.document) == (8, {"eventId": EVENT_ID})
    assert "It was not sent yet" in ran.stderr


def test_a_test_of_a_paused_webhook_is_not_waited_for(server: ScriptedServer, run: Run) -> None:
    server.script("GET", WEBHOOK_PATH, Reply(200, webhook(state="paused", pauseReason="paused by key:ops")))
    server.script("POST", TEST_PATH, TEST_EVENT)
    ran = run("webhooks", "test", WEBHOOK_ID, "--json")
    assert (ran.code, ran.document) == (0, {"eventId": EVENT_ID})
    assert "paused, so the event waits: paused by key:ops" in ran.stderr


def test_deliveries_are_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    tried = [failed_attempt(1), attempt(2, statusCode=500, error="the receiver did not respond with 2xx")]
    documents = [
        delivery(),
        delivery(status="pending", attempts=[]),
        delivery(type="operation.failed", status="dead", attempts=tried),
    ]
    server.script("GET", DELIVERIES_PATH, listed(*documents))
    header, first, second, third = lines_of(run("webhooks", "deliveries", WEBHOOK_ID, "--status=dead"))
    assert header == "event status occurred attempts event id"
    assert (first.split()[:2], first.split()[-4:]) == (
        ["tenant.created", "delivered"],
        ["1,", "last", "204", EVENT_ID],
    )
    assert second.endswith(f"none {EVENT_ID}")
    assert third.endswith(f"2, last 500 {EVENT_ID}")
    assert server.received[0].query == [("status", "dead"), ("pageSize", "50")]
    assert run("webhooks", "deliveries", WEBHOOK_ID, "--json").document == {"deliveries": documents}


def test_each_attempt_is_shown_on_request(server: ScriptedServer, run: Run) -> None:
    server.script("GET", DELIVERIES_PATH, listed(delivery(attempts=[failed_attempt(1), attempt(2)])))
    heading, *details, first, second = lines_of(run("webhooks", "deliveries", WEBHOOK_ID, "--attempts"))
    assert (heading, details[0]) == ("tenant.created delivered", f"event id {EVENT_ID}")
    assert first.endswith("15 ms no response the receiver refused the connection")
    assert second.endswith("15 ms 204")


def test_events_are_replayed(server: ScriptedServer, run: Run) -> None:
    server.script("POST", f"{DELIVERIES_PATH}/{EVENT_ID}/replay", Reply(202, {"replayed": 1}))
    server.script("POST", REPLAY_PATH, Reply(202, {"replayed": 3}))
    assert "1 event is sent again" in run("webhooks", "replay", WEBHOOK_ID, EVENT_ID).stdout
    ran = run("webhooks", "replay", WEBHOOK_ID, "--dead", "--occurred-after=2026-01-31T12:00:00Z", "--json")
    assert (ran.code, ran.document) == (0, {"replayed": 3})
    assert server.received[1].body == {"occurredAfter": "2026-01-31T12:00:00+00:00"}
