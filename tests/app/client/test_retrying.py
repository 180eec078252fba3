import pytest

from app.client import Retries, TenantsClient, TenantsError, UnavailableError, UnreachableError
from app.embedded.processes.ports import free_port
from tests.app.client.conftest import API_KEY, Call
from tests.app.client.scripted_server import OPERATION_PATH, WORKFLOW_ID, Reply, ScriptedServer, document, problem

QUICK = Retries(first_delay=0.01)
UNAVAILABLE = problem(503, "temporal-unavailable")


@pytest.mark.parametrize(
    "failure", [UNAVAILABLE, Reply(hang_up=True), Reply(502, b"<html>"), Reply(429), Reply(504)], ids=repr
)
def test_a_transient_failure_is_retried(server: ScriptedServer, call: Call, failure: Reply) -> None:
    server.script("GET", OPERATION_PATH, failure, failure, Reply(200, document()))
    assert call("operation", WORKFLOW_ID, retries=QUICK).status == "running"
    assert len(server.received) == 3


def test_retry_after_is_respected(server: ScriptedServer, call: Call) -> None:
    unavailable = problem(503, "temporal-unavailable", headers={"Retry-After": "1"})
    server.script("GET", OPERATION_PATH, unavailable, Reply(200, document()))
    call("operation", WORKFLOW_ID, retries=QUICK)
    first, second = server.received
    assert second.at - first.at >= 1.0


def test_attempts_are_limited(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, UNAVAILABLE)
    with pytest.raises(UnavailableError) as caught:
        call("operation", WORKFLOW_ID, retries=QUICK)
    assert caught.value.code == "temporal-unavailable"
    assert len(server.received) == 3


def test_a_long_pause_is_left_to_the_caller(server: ScriptedServer, call: Call) -> None:
    server.script("GET", OPERATION_PATH, problem(503, "maintenance", headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError) as caught:
        call("operation", WORKFLOW_ID)
    assert caught.value.retry_after == 3600
    assert len(server.received) == 1


def test_a_cancel_is_retried(server: ScriptedServer, call: Call) -> None:
    server.script("DELETE", OPERATION_PATH, UNAVAILABLE, Reply(202, document("cancelling")))
    assert call("cancel", WORKFLOW_ID, retries=QUICK).status == "cancelling"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_a_permanent_failure_is_not_retried(server: ScriptedServer, call: Call, status: int) -> None:
    server.script("GET", OPERATION_PATH, problem(status, "rejected"))
    with pytest.raises(TenantsError):
        call("operation", WORKFLOW_ID, retries=QUICK)
    assert len(server.received) == 1


def test_retries_call_notify(server: ScriptedServer, call: Call) -> None:
    notified: list[tuple[TenantsError, float]] = []
    server.script("GET", OPERATION_PATH, UNAVAILABLE, Reply(200, document()))
    call("operation", WORKFLOW_ID, retries=Retries(first_delay=0.01, notify=lambda *event: notified.append(event)))
    ((failure, seconds),) = notified
    assert isinstance(failure, UnavailableError)
    assert 0 < seconds < 0.1


def test_a_closed_port_is_an_unreachable_error() -> None:
    with (
        TenantsClient(f"http://127.0.0.1:{free_port()}", API_KEY, retries=QUICK) as client,
        pytest.raises(UnreachableError, match="GET /readyz"),
    ):
        client.health()


def test_pauses_double_up_to_a_limit() -> None:
    retries = Retries(attempts=20, first_delay=1.0, max_delay=5.0)
    failure = UnreachableError("rejected")
    for attempt, expected in enumerate((1, 2, 4, 5, 5), start=1):
        delay = retries.pause(attempt, failure)
        assert 0.75 * expected <= delay <= 1.25 * expected
    with pytest.raises(UnreachableError):
        retries.pause(20, failure)
