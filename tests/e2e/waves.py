"""The fault matrix as it happens: each function lets one kind of fault come over every step at once."""

from functools import partial

import anyio
import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.obstacles import FINAL_ERROR, LASTING_ERROR, PASSING_ERROR, blocked, entering, lift
from tests.e2e.replicas import kill
from tests.e2e.trials import (
    Fault,
    Trial,
    cancelling,
    each,
    gates,
    is_waiting,
    look_midway,
    obstacles,
    open_gate,
    reach_gate,
    see_the_end,
    showing,
    starting,
    trials,
)
from tests.gateway.outages import frozen
from tests.support.restartable import RestartableTemporal
from tests.support.waiting import wait_until
from workflows.steps import Step

REASON = "a change of mind"


async def final_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Steps that fail for good."""

    async with trials(service, [Fault.FINAL_ERROR]) as met, obstacles(met, FINAL_ERROR):
        await each(met, starting(service))
        await see_the_end(met, service, observer)
    return met


async def cancels(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Steps in whose midst a cancel comes."""

    async def cancel(trial: Trial) -> None:
        async with anyio.create_task_group() as group:
            # Is answered late: the gateway waits for the first step's row.
            group.start_soon(starting(service), trial)
            await reach_gate(trial)
            await cancelling(service, REASON)(trial)
            await open_gate(trial)

    async with trials(service, [Fault.CANCEL]) as met, gates(met, lambda trial: trial.step):
        await each(met, cancel)
        await see_the_end(met, service, observer)
    return met


async def passing_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Steps whose fault is mended once it has been shown."""

    async def heal(trial: Trial) -> None:
        await showing(service, "retrying")(trial)
        await lift(trial.connection, trial.tenant_id)

    async with trials(service, [Fault.PASSING_ERROR]) as met, obstacles(met, PASSING_ERROR):
        await each(met, starting(service))
        await each(met, heal)
        await see_the_end(met, service, observer)
    return met


async def lasting_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Steps whose fault is mended only when their operations wait for an operator."""

    async def go_on(trial: Trial) -> None:
        if trial.fault is Fault.LASTING_ERROR_THEN_CANCEL:
            await cancelling(service, REASON)(trial)
        else:
            answer = await service.http.post(f"/tenants/{trial.workflow_id}/resume")
            assert (answer.status_code, answer.json()["status"]) == (202, "running")

    faults = [Fault.LASTING_ERROR_THEN_RESUME, Fault.LASTING_ERROR_THEN_CANCEL]
    async with trials(service, faults) as met:
        async with obstacles(met, LASTING_ERROR):
            await each(met, starting(service))
            await each(met, showing(service, "needs_attention"))
            await look_midway(met, observer)
        await each(met, go_on)
        await see_the_end(met, service, observer)
    return met


async def killed_workers(
    service: Service, observer: asyncpg.Connection, temporal: RestartableTemporal
) -> list[Trial]:
    """Twelve operations whose worker is killed at one moment, half of them after a step's commit.

    All steps of an operation run within one workflow task. So one that waits in a step has committed the one before,
    and Temporal has been told of neither. A step that waits where it writes commits without its worker.
    """
    faults = [Fault.WORKER_KILLED_BEFORE_COMMIT, Fault.WORKER_KILLED_AFTER_COMMIT]
    async with trials(service, faults) as met, gates(met, _where_it_waits):
        [last] = [trial for trial in met if (trial.fault, trial.step) == (faults[1], Step.COMPLETING)]
        # Begins with all of them at once, so that it is killed before it has anything to tell.
        await kill(service.worker)
        await each(met, starting(service))
        service.worker.start()
        await each(met, _begin)
        with frozen(temporal.pid):
            await each(met, reach_gate)
            await open_gate(last)
            await wait_until(partial(_has_status, last, "completed"), timeout=PATIENCE, every=0.02)
            await kill(service.worker)
        # What nobody waits for any more comes to its end.
        await each(met, open_gate)
        await look_midway(met, observer)
        await each(met, partial(_count_heard, await Client.connect(temporal.address)))
        await each(met, showing(service, "queued"))
        service.worker.start()
        await see_the_end(met, service, observer)
    return met


async def killed_rollbacks(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """A failed and a cancelled operation whose worker was killed while it deleted their rows."""
    step = Step.SETTING_UP_DATA
    async with (
        trials(service, [Fault.FINAL_ERROR], [step]) as failing,
        trials(service, [Fault.CANCEL], [step]) as cancelled,
        gates(failing, lambda trial: trial.step, then=FINAL_ERROR),
        gates(cancelled, lambda trial: trial.step),
    ):
        met = [*failing, *cancelled]
        await each(met, starting(service))
        await each(met, reach_gate)
        async with observer.transaction():
            # Lets rows refer to it, but nobody delete it.
            tenant_ids = [trial.tenant_id for trial in met]
            await observer.execute("SELECT FROM tenants WHERE tenant = ANY ($1) FOR KEY SHARE", tenant_ids)
            await each(cancelled, cancelling(service, REASON))
            await each(met, open_gate)
            await blocked(met[0].connection, observer.get_server_pid(), backends=len(met))
            await kill(service.worker)
    await each(met, showing(service, "rolling_back"))
    await look_midway(met, observer)
    service.worker.start()
    return met


def _where_it_waits(trial: Trial) -> str:
    """At the fence of the step itself, or within the one after it."""
    if trial.fault is Fault.WORKER_KILLED_BEFORE_COMMIT:
        return entering(trial.step)
    steps: list[Step] = [*Step, Step.COMPLETING]
    return steps[steps.index(trial.step) + 1]


async def _begin(trial: Trial) -> None:
    """Wait until a worker works on it."""

    async def has_begun() -> bool:
        return await is_waiting(trial) or await _has_status(trial, "running")

    await wait_until(has_begun, timeout=PATIENCE, every=0.02)


async def _has_status(trial: Trial, status: str) -> bool:
    query = "SELECT status = $2 FROM alga_tenants.operations WHERE workflow_id = $1"
    return bool(await trial.connection.fetchval(query, trial.workflow_id, status))


async def _count_heard(client: Client, trial: Trial) -> None:
    """How many steps the history knows of."""
    history = await client.get_workflow_handle(trial.workflow_id).fetch_history()
    trial.heard = sum(event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED for event in history.events)
