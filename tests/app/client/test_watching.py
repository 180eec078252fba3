import time
from typing import Any

import pytest

from app.client import NotFoundError, Retries, UnavailableError, UnexpectedResponseError, WaitTimeoutError
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    operation_error,
    problem,
)

SOON = {"Retry-After": "0"}


def running(progress: int, tag: str) -> Reply:
    return Reply(200, document(progress=progress), {"ETag": tag, **SOON})


def test_waiting_ends_with_the_operation(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, running(5, '"1"'), running(15, '"2"'), Reply(200, document("completed")))
    ended = call("wait", WORKFLOW_ID)
    assert ended.status == "completed"
    assert ended.result["clientId"] == "4f1d8a1c-9d35-5f3b-b1fb-7c1f2b9c7d02"


def test_each_change_is_yielded_once(server: ScriptedServer, call: Call) -> None:
    unchanged = Reply(304, None, {"ETag": '"1"', **SOON})
    server.script("GET", OPERATION_PATH, running(5, '"1"'), unchanged, unchanged, Reply(200, document("failed")))
    assert [seen.status for seen in call("watch", WORKFLOW_ID)] == ["running", "failed"]
    tags = [request.headers.get("if-none-match") for request in server.received]
    assert tags == [None, '"1"', '"1"', '"1"']


def test_changes_are_detected_without_etags(server: ScriptedServer, call: Call) -> None:
    same = Reply(200, document(), SOON)
    server.script("GET", OPERATION_PATH, same, same, Reply(200, document("cancelled")))
    assert [seen.status for seen in call("watch", WORKFLOW_ID)] == ["running", "cancelled"]


def test_polls_keep_the_interval_of_retry_after(server: ScriptedServer, call: Call) -> None:
    server.script(
        "GET", OPERATION_PATH, Reply(200, document(), {"Retry-After": "1"}), Reply(200, document("completed"))
    )
    call("wait", WORKFLOW_ID)
    first, second = server.received
    assert 1.0 <= second.at - first.at < 3.0


def test_waiting_ends_if_the_operation_needs_attention(server: ScriptedServer, call: Call) -> None:
    error = operation_error("database-unavailable", "no connection", step="create_tenant")
    server.script("GET", OPERATION_PATH, Reply(200, document("needs_attention", error=error), SOON))
    stuck = call("wait", WORKFLOW_ID)
    assert (stuck.status, stuck.is_final) == ("needs_attention", False)
    assert stuck.error.code == "database-unavailable"


@pytest.mark.parametrize(
    "settled", [document("awaiting_confirmation"), document("archived", finishedAt="2026-01-31T12:00:02Z")]
)
def test_waiting_ends_at_a_confirmation_and_at_an_unknown_end(
    server: ScriptedServer, call: Call, settled: dict[str, Any]
) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document("paused"), SOON), Reply(200, settled))
    assert call("wait", WORKFLOW_ID).status == settled["status"]


def test_a_wait_timeout_has_the_last_known_state(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document(progress=65), {"Retry-After": "30"}))
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError) as caught:
        call("wait", WORKFLOW_ID, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert caught.value.document.progress == 65


def test_waiting_survives_a_restart_of_the_gateway(server: ScriptedServer, call: Call) -> None:
    outage = (Reply(hang_up=True), problem(503, "starting"), Reply(hang_up=True), problem(503, "starting"))
    server.script("GET", OPERATION_PATH, running(5, '"1"'), *outage, Reply(200, document("completed")))
    assert call("wait", WORKFLOW_ID, retries=Retries(first_delay=0.01)).status == "completed"


def test_retries_end_before_the_wait_timeout(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, problem(503, "starting", headers={"Retry-After": "20"}))
    with pytest.raises(UnavailableError):
        call("wait", WORKFLOW_ID, timeout=1)
    assert len(server.received) == 1


def test_waiting_for_an_unknown_operation_fails(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, problem(404, "operation-not-found"))
    with pytest.raises(NotFoundError):
        call("wait", WORKFLOW_ID)


def test_an_unrequested_304_is_unexpected(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, Reply(304))
    with pytest.raises(UnexpectedResponseError):
        call("wait", WORKFLOW_ID)
