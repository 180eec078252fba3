import time
from typing import Any

import pytest

from app.client import NotFoundError, Retries, UnavailableError, UnexpectedResponseError, WaitTimeoutError
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    WORKFLOW_ID,
    Answer,
    ScriptedServer,
    document,
    operation_error,
    problem,
)

SOON = {"Retry-After": "0"}


def running(progress: int, tag: str) -> Answer:
    return Answer(200, document(progress=progress), {"ETag": tag, **SOON})


def test_waiting_ends_with_the_operation(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, running(5, '"1"'), running(15, '"2"'), Answer(200, document("completed")))
    ended = call("wait", WORKFLOW_ID)
    assert ended.status == "completed"
    assert ended.result["clientId"] == "4f1d8a1c-9d35-5f3b-b1fb-7c1f2b9c7d02"


def test_each_change_is_handed_out_once(server: ScriptedServer, call: Call) -> None:
    unchanged = Answer(304, None, {"ETag": '"1"', **SOON})
    server.script("GET", OPERATION_PATH, running(5, '"1"'), unchanged, unchanged, Answer(200, document("failed")))
    assert [seen.status for seen in call("watch", WORKFLOW_ID)] == ["running", "failed"]
    tags = [request.headers.get("if-none-match") for request in server.received]
    assert tags == [None, '"1"', '"1"', '"1"']


def test_changes_are_told_apart_without_etags_too(server: ScriptedServer, call: Call) -> None:
    same = Answer(200, document(), SOON)
    server.script("GET", OPERATION_PATH, same, same, Answer(200, document("cancelled")))
    assert [seen.status for seen in call("watch", WORKFLOW_ID)] == ["running", "cancelled"]


def test_polls_are_as_far_apart_as_the_gateway_asks(server: ScriptedServer, call: Call) -> None:
    server.script(
        "GET", OPERATION_PATH, Answer(200, document(), {"Retry-After": "1"}), Answer(200, document("completed"))
    )
    call("wait", WORKFLOW_ID)
    first, second = server.received
    assert 1.0 <= second.at - first.at < 3.0


def test_an_operation_that_needs_attention_is_not_waited_for(server: ScriptedServer, call: Call) -> None:
    error = operation_error("database-unavailable", "no connection", step="create_tenant")
    server.script("GET", OPERATION_PATH, Answer(200, document("needs_attention", error=error), SOON))
    stuck = call("wait", WORKFLOW_ID)
    assert (stuck.status, stuck.is_final) == ("needs_attention", False)
    assert stuck.error.code == "database-unavailable"


@pytest.mark.parametrize(
    "settled", [document("awaiting_confirmation"), document("archived", finishedAt="2026-01-31T12:00:02Z")]
)
def test_waiting_ends_at_a_confirmation_and_at_an_unknown_end(
    server: ScriptedServer, call: Call, settled: dict[str, Any]
) -> None:
    server.script("GET", OPERATION_PATH, Answer(200, document("paused"), SOON), Answer(200, settled))
    assert call("wait", WORKFLOW_ID).status == settled["status"]


def test_waiting_ends_in_time_and_says_how_the_operation_stood(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, Answer(200, document(progress=65), {"Retry-After": "30"}))
    started = time.monotonic()
    with pytest.raises(WaitTimeoutError) as caught:
        call("wait", WORKFLOW_ID, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert caught.value.document.progress == 65


def test_waiting_outlasts_a_restart_of_the_gateway(server: ScriptedServer, call: Call) -> None:
    away = (Answer(hang_up=True), problem(503, "starting"), Answer(hang_up=True), problem(503, "starting"))
    server.script("GET", OPERATION_PATH, running(5, '"1"'), *away, Answer(200, document("completed")))
    assert call("wait", WORKFLOW_ID, retries=Retries(first_delay=0.01)).status == "completed"


def test_an_outage_does_not_outlast_the_time_to_wait(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, problem(503, "starting", headers={"Retry-After": "20"}))
    with pytest.raises(UnavailableError):
        call("wait", WORKFLOW_ID, timeout=1)
    assert len(server.received) == 1


def test_an_unknown_operation_is_not_waited_for(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, problem(404, "operation-not-found"))
    with pytest.raises(NotFoundError):
        call("wait", WORKFLOW_ID)


def test_an_unasked_for_304_is_no_answer(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, Answer(304))
    with pytest.raises(UnexpectedResponseError):
        call("wait", WORKFLOW_ID)
