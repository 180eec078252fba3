"""Every fault in every step, on real processes: each ends as it was promised."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.e2e import waves
from tests.e2e.conftest import STEP_RETRY_WINDOW, Service
from tests.e2e.obstacles import LAST_TABLE
from tests.e2e.trials import REQUEST, Fault, Rows, Trial, counts_of, see_the_end, tenants_rows
from tests.e2e.waves import REASON
from tests.support.restartable import RestartableTemporal
from workflows.steps import Step

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running")]

PROMISES = {
    Fault.WORKER_KILLED_BEFORE_COMMIT: "completed",
    Fault.WORKER_KILLED_AFTER_COMMIT: "completed",
    Fault.FINAL_ERROR: "failed",
    Fault.CANCEL: "cancelled",
    Fault.PASSING_ERROR: "completed",
    Fault.LASTING_ERROR_THEN_RESUME: "completed",
    Fault.LASTING_ERROR_THEN_CANCEL: "cancelled",
}
WAVES = {
    Fault.WORKER_KILLED_BEFORE_COMMIT: "killed_workers",
    Fault.WORKER_KILLED_AFTER_COMMIT: "killed_workers",
    Fault.FINAL_ERROR: "final_errors",
    Fault.CANCEL: "cancels",
    Fault.PASSING_ERROR: "passing_errors",
    Fault.LASTING_ERROR_THEN_RESUME: "lasting_errors",
    Fault.LASTING_ERROR_THEN_CANCEL: "lasting_errors",
}

in_every_step = pytest.mark.parametrize("step", Step)


def meeting(*faults: Fault) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults)


@pytest.fixture
def trial(request: pytest.FixtureRequest, fault: Fault, step: Step) -> Trial:
    """The operation that met that fault in that step, at its end."""
    met: list[Trial] = request.getfixturevalue(WAVES[fault])
    [trial] = [trial for trial in met if (trial.fault, trial.step) == (fault, step)]
    if trial.problem is not None:
        raise trial.problem
    return trial


@meeting(*Fault)
@in_every_step
async def test_an_operation_ends_as_promised(trial: Trial, undisturbed: dict[str, int]) -> None:
    promised, document = PROMISES[trial.fault], trial.document
    assert document["status"] == promised
    assert trial.counts == (undisturbed if promised == "completed" else {})
    assert [(record["status"], record["owns_tenant"]) for record in trial.records] == [
        (promised, promised == "completed")
    ]
    assert (document["error"] is not None) == (promised == "failed")
    assert (document["result"] is not None) == (promised == "completed")
    assert document["finishedAt"] is not None
    assert (document["nextTryAt"], document["attentionDeadline"], document["cancellable"]) == (None, None, False)


@meeting(Fault.FINAL_ERROR)
@in_every_step
async def test_a_final_error_names_its_step_and_what_was_wrong(trial: Trial) -> None:
    error = trial.document["error"]
    assert (error["code"], error["step"]) == ("constraint-violation", trial.step)
    assert trial.line(trial.document)["status"] == "failed"
    assert trial.line(trial.document)["attempts"] == 1


@meeting(Fault.CANCEL, Fault.LASTING_ERROR_THEN_CANCEL)
@in_every_step
async def test_a_cancelled_operation_says_why_and_who_asked(trial: Trial) -> None:
    assert trial.document["cancelReason"] == REASON
    assert trial.document["cancelledBy"].startswith("key:")


@meeting(Fault.PASSING_ERROR)
@in_every_step
async def test_a_passing_error_is_shown_while_its_step_is_retried(trial: Trial) -> None:
    shown = trial.midway
    assert (shown["error"]["code"], shown["error"]["step"]) == ("database-busy", trial.step)
    assert shown["nextTryAt"] > shown["updatedAt"]
    assert trial.line(shown)["status"] == "retrying"
    assert trial.line(trial.document)["attempts"] > trial.line(shown)["attempts"] >= 1


@meeting(Fault.LASTING_ERROR_THEN_RESUME, Fault.LASTING_ERROR_THEN_CANCEL)
@in_every_step
async def test_an_error_that_lasts_parks_its_operation_when_the_window_is_over(trial: Trial) -> None:
    parked = trial.midway
    assert (parked["error"]["code"], parked["error"]["step"]) == ("database-failure", trial.step)
    assert (parked["nextTryAt"], parked["links"]["resume"]) == (None, f"/tenants/{trial.workflow_id}/resume")
    assert parked["attentionDeadline"] > parked["updatedAt"]
    tried_for = _moment(parked["updatedAt"]) - _moment(trial.line(parked)["startedAt"])
    assert tried_for >= timedelta(seconds=STEP_RETRY_WINDOW)
    assert trial.line(parked)["attempts"] >= 3


@meeting(Fault.LASTING_ERROR_THEN_RESUME, Fault.WORKER_KILLED_BEFORE_COMMIT, Fault.WORKER_KILLED_AFTER_COMMIT)
@in_every_step
async def test_what_was_committed_is_neither_lost_nor_written_again(trial: Trial) -> None:
    assert trial.rows_midway <= trial.rows
    earlier = [table for step, table in LAST_TABLE.items() if list(Step).index(step) < list(Step).index(trial.step)]
    assert set(earlier) <= counts_of(trial.rows_midway).keys()


@meeting(Fault.WORKER_KILLED_BEFORE_COMMIT, Fault.WORKER_KILLED_AFTER_COMMIT)
@in_every_step
async def test_the_worker_was_killed_where_it_was_meant_to_be(trial: Trial) -> None:
    assert trial.heard == 0, "Temporal knew of a step"
    is_committed = trial.fault is Fault.WORKER_KILLED_AFTER_COMMIT
    if trial.step in LAST_TABLE:
        assert (LAST_TABLE[trial.step] in counts_of(trial.rows_midway)) == is_committed
    shown = trial.midway
    assert (shown["status"], shown["step"]) == ("queued", None)


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_a_rollback_whose_worker_was_killed_is_done_again_from_the_start(
    ended_rollbacks: list[Trial], outcome: str
) -> None:
    [trial] = [trial for trial in ended_rollbacks if PROMISES[trial.fault] == outcome]
    if trial.problem is not None:
        raise trial.problem
    assert trial.midway["status"] == "rolling_back"
    # What it had deleted came back with the end of its transaction.
    assert set(LAST_TABLE.values()) - {"tenant_settings"} <= counts_of(trial.rows_midway).keys()
    assert trial.document["status"] == trial.records[0]["status"] == outcome
    assert trial.counts == {}


async def test_a_neighbour_of_all_these_is_left_alone(
    observer: asyncpg.Connection,
    neighbour: tuple[UUID, Rows],
    ended_rollbacks: list[Trial],  # noqa: ARG001 - the last that could do harm
) -> None:
    tenant_id, rows = neighbour
    assert (await tenants_rows(observer, [tenant_id]))[tenant_id] == rows


@pytest.fixture(scope="module")
async def observer(running: Service) -> AsyncIterator[asyncpg.Connection]:
    """A connection that looks on."""
    connection = await asyncpg.connect(running.installation.admin_database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def neighbour(service: Service, observer: asyncpg.Connection) -> tuple[UUID, Rows]:
    """A tenant that nothing happens to, and its rows."""
    tenant_id = UUID((await service.provision(**REQUEST))["tenantId"])
    return tenant_id, (await tenants_rows(observer, [tenant_id]))[tenant_id]


@pytest.fixture(scope="module")
def undisturbed(neighbour: tuple[UUID, Rows]) -> dict[str, int]:
    """The rows by table of a tenant that nothing happened to."""
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
async def killed_workers(
    service: Service,
    observer: asyncpg.Connection,
    temporal: RestartableTemporal,
    killed_rollbacks: list[Trial],  # noqa: ARG001 - begins before all others, because it takes longest
) -> list[Trial]:
    return await waves.killed_workers(service, observer, temporal)


@pytest.fixture(scope="module")
async def killed_rollbacks(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    return await waves.killed_rollbacks(service, observer)


@pytest.fixture(scope="module")
async def ended_rollbacks(
    service: Service, observer: asyncpg.Connection, killed_rollbacks: list[Trial]
) -> list[Trial]:
    """Temporal gives a worker half a minute to send a heartbeat, which the other tests fill."""
    await see_the_end(killed_rollbacks, service, observer)
    return killed_rollbacks


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
