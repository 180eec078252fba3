"""Every fault in every part of the transaction, on real processes, with the promised result."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.e2e import waves
from tests.e2e.conftest import STEP_RETRY_WINDOW, Service
from tests.e2e.obstacles import LAST_TABLE, PARTS, waiting
from tests.e2e.trials import (
    REQUEST,
    Fault,
    Rows,
    Trial,
    cancelling,
    counts_of,
    see_the_end,
    starting,
    tenants_rows,
    trials,
)
from tests.e2e.waves import REASON
from workflows.tenants.steps import COMPLETE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running")]

PROMISES = {
    Fault.WORKER_KILLED: "completed",
    Fault.FINAL_ERROR: "failed",
    Fault.CANCEL: "cancelled",
    Fault.PASSING_ERROR: "completed",
    Fault.LASTING_ERROR_THEN_RESUME: "completed",
    Fault.LASTING_ERROR_THEN_CANCEL: "cancelled",
}
WAVES = {
    Fault.WORKER_KILLED: "killed_workers",
    Fault.FINAL_ERROR: "final_errors",
    Fault.CANCEL: "cancels",
    Fault.PASSING_ERROR: "passing_errors",
    Fault.LASTING_ERROR_THEN_RESUME: "lasting_errors",
    Fault.LASTING_ERROR_THEN_CANCEL: "lasting_errors",
}


def meeting(*faults: Fault) -> pytest.MarkDecorator:
    """Return each of the faults with each part in which it can happen."""
    met = [(fault, step) for fault in faults for step in (LAST_TABLE if fault is Fault.CANCEL else PARTS)]
    return pytest.mark.parametrize(("fault", "step"), met)


@pytest.fixture
def trial(request: pytest.FixtureRequest, fault: Fault, step: str) -> Trial:
    """The operation that met that fault in that part, after its end."""
    met: list[Trial] = request.getfixturevalue(WAVES[fault])
    [trial] = [trial for trial in met if (trial.fault, trial.step) == (fault, step)]
    if trial.problem is not None:
        raise trial.problem
    return trial


@meeting(*Fault)
async def test_an_operation_ends_as_promised_with_all_rows_or_none(trial: Trial, undisturbed: dict[str, int]) -> None:
    promised, document = PROMISES[trial.fault], trial.document
    assert document["status"] == promised
    assert trial.counts == (undisturbed if promised == "completed" else {})
    assert [(record["status"], record["committed_at"] is not None) for record in trial.records] == [
        (promised, promised == "completed")
    ]
    assert (document["error"] is not None) == (promised == "failed")
    assert (document["result"] is not None) == (promised == "completed")
    assert document["finishedAt"] is not None
    assert (document["nextTryAt"], document["attentionDeadline"], document["cancellable"]) == (None, None, False)
    assert document["warnings"] == []


@meeting(Fault.FINAL_ERROR)
async def test_a_final_error_names_its_step_and_cause(trial: Trial) -> None:
    error = trial.document["error"]
    assert (error["code"], error["step"]) == ("constraint-violation", trial.step)
    statuses = {step["name"]: step["status"] for step in trial.document["steps"]}
    assert statuses.pop(trial.step) == "failed"
    # The rows of earlier parts were rolled back.
    assert set(statuses.values()) == {"pending"}
    assert trial.line(trial.document)["attempts"] == 1


@meeting(Fault.CANCEL, Fault.LASTING_ERROR_THEN_CANCEL)
async def test_a_cancelled_operation_names_reason_and_caller(trial: Trial) -> None:
    assert trial.document["cancelReason"] == REASON
    assert trial.document["cancelledBy"].startswith("key:")


@meeting(Fault.CANCEL)
async def test_a_long_transaction_is_running_and_invisible(trial: Trial) -> None:
    assert (trial.midway["status"], trial.midway["cancellable"]) == ("running", True)
    assert trial.rows_midway == {}


@meeting(Fault.PASSING_ERROR)
async def test_a_passing_error_is_shown_while_its_step_is_retried(trial: Trial) -> None:
    shown = trial.midway
    assert (shown["error"]["code"], shown["error"]["step"]) == ("database-busy", trial.step)
    assert shown["nextTryAt"] > shown["updatedAt"]
    assert trial.line(shown)["status"] == "retrying"
    assert trial.line(trial.document)["attempts"] > trial.line(shown)["attempts"] >= 1


@meeting(Fault.LASTING_ERROR_THEN_RESUME, Fault.LASTING_ERROR_THEN_CANCEL)
async def test_a_lasting_error_parks_its_operation_after_the_retry_window(trial: Trial) -> None:
    parked = trial.midway
    assert (parked["error"]["code"], parked["error"]["step"]) == ("database-failure", trial.step)
    assert (parked["nextTryAt"], parked["links"]["resume"]) == (None, f"/operations/{trial.workflow_id}/resume")
    assert parked["attentionDeadline"] > parked["updatedAt"]
    tried_for = _moment(parked["updatedAt"]) - _moment(parked["steps"][0]["startedAt"])
    assert tried_for >= timedelta(seconds=STEP_RETRY_WINDOW)
    assert trial.line(parked)["attempts"] >= 3
    assert trial.rows_midway == {}


@meeting(Fault.WORKER_KILLED)
async def test_a_killed_worker_writes_nothing_unless_it_sent_its_commit(
    trial: Trial, undisturbed: dict[str, int]
) -> None:
    assert counts_of(trial.rows_midway) == (undisturbed if trial.step == COMPLETE else {})
    # Committed rows are neither lost nor written again.
    assert trial.rows_midway <= trial.rows


async def test_a_cancel_during_the_commit_becomes_a_warning(
    service: Service, observer: asyncpg.Connection, undisturbed: dict[str, int]
) -> None:
    async with trials(service, [Fault.CANCEL], [COMPLETE]) as [trial]:
        async with waiting(trial.connection, COMPLETE, trial.tenant_id) as gate:
            await starting(service)(trial)
            await gate.reached()
            await cancelling(service, REASON)(trial)
        await see_the_end([trial], service, observer)
    assert trial.document["status"] == "completed"
    assert [warning["code"] for warning in trial.document["warnings"]] == ["cancel-too-late"]
    assert trial.counts == undisturbed


async def test_a_neighbour_is_unchanged(observer: asyncpg.Connection, neighbour: tuple[UUID, Rows]) -> None:
    tenant_id, rows = neighbour
    assert (await tenants_rows(observer, [tenant_id]))[tenant_id] == rows


@pytest.fixture(scope="module")
async def observer(running: Service) -> AsyncIterator[asyncpg.Connection]:
    """A connection that observes."""
    connection = await asyncpg.connect(running.installation.admin_database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def neighbour(service: Service, observer: asyncpg.Connection) -> tuple[UUID, Rows]:
    """An undisturbed tenant, and its rows."""
    tenant_id = UUID((await service.provision(**REQUEST))["tenantId"])
    return tenant_id, (await tenants_rows(observer, [tenant_id]))[tenant_id]


@pytest.fixture(scope="module")
def undisturbed(neighbour: tuple[UUID, Rows]) -> dict[str, int]:
    """The number of rows of an undisturbed tenant by table."""
    return counts_of(neighbour[1])


@pytest.fixture(scope="module")
async def final_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.final_errors(service, observer)


@pytest.fixture(scope="module")
async def cancels(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.cancels(service, observer)


@pytest.fixture(scope="module")
async def passing_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.passing_errors(service, observer)


@pytest.fixture(scope="module")
async def lasting_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.lasting_errors(service, observer)


@pytest.fixture(scope="module")
async def killed_workers(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.killed_workers(service, observer)


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
