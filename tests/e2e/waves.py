"""The fault matrix: each function lets one kind of fault happen in every part at once."""

import anyio
import asyncpg

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.obstacles import FINAL_ERROR, LAST_TABLE, LASTING_ERROR, PASSING_ERROR, lift
from tests.e2e.replicas import kill
from tests.e2e.trials import (
    Fault,
    Trial,
    cancelling,
    each,
    gates,
    look_midway,
    obstacles,
    open_gate,
    reach_gate,
    see_the_end,
    showing,
    starting,
    trials,
)
from tests.support.waiting import wait_until

REASON = "a change of mind"


async def final_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Let parts fail for good."""
    async with trials(service, [Fault.FINAL_ERROR]) as met, obstacles(met, FINAL_ERROR):
        await each(met, starting(service))
        await see_the_end(met, service, observer)
    return met


async def cancels(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Cancel in the middle of parts; a cancel during the commit is too late."""
    async with trials(service, [Fault.CANCEL], LAST_TABLE) as met, gates(met):
        async with anyio.create_task_group() as group:
            # May respond late: the gateway waits for the row of the operation if the worker came first.
            group.start_soon(each, met, starting(service))
            await each(met, reach_gate)
            await each(met, showing(service, "running"))
            await look_midway(met, observer)
            await each(met, cancelling(service, REASON))
            await each(met, open_gate)
        await see_the_end(met, service, observer)
    return met


async def passing_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Let parts fail, and fix the fault once it is shown."""

    async def heal(trial: Trial) -> None:
        await showing(service, "retrying")(trial)
        await lift(trial.connection, trial.tenant_id)

    async with trials(service, [Fault.PASSING_ERROR]) as met, obstacles(met, PASSING_ERROR):
        await each(met, starting(service))
        await each(met, heal)
        await see_the_end(met, service, observer)
    return met


async def lasting_errors(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Let parts fail, and fix the fault when their operations need attention."""

    async def go_on(trial: Trial) -> None:
        if trial.fault is Fault.LASTING_ERROR_THEN_CANCEL:
            await cancelling(service, REASON)(trial)
        else:
            response = await service.http.post(trial.midway["links"]["resume"])
            assert (response.status_code, response.json()["status"]) == (202, "running")

    faults = [Fault.LASTING_ERROR_THEN_RESUME, Fault.LASTING_ERROR_THEN_CANCEL]
    async with trials(service, faults) as met:
        async with obstacles(met, LASTING_ERROR):
            await each(met, starting(service))
            await each(met, showing(service, "needs_attention"))
            await look_midway(met, observer)
        await each(met, go_on)
        await see_the_end(met, service, observer)
    return met


async def killed_workers(service: Service, observer: asyncpg.Connection) -> list[Trial]:
    """Kill the worker of all operations at once, each of them in another part.

    The server has all of the last part, including its commit, and needs the worker no longer.
    """

    async def are_left_by_worker() -> bool:
        query = """
            SELECT count(*) = 0 FROM pg_stat_activity
            WHERE datname = current_database() AND starts_with(application_name, 'alga-tenants-worker')
        """
        return bool(await observer.fetchval(query))

    async with trials(service, [Fault.WORKER_KILLED]) as met, gates(met):
        async with anyio.create_task_group() as group:
            group.start_soon(each, met, starting(service))
            await each(met, reach_gate)
            await kill(service.worker)
            await each(met, open_gate)
        await wait_until(are_left_by_worker, timeout=PATIENCE, every=0.02)
        await look_midway(met, observer)
        service.worker.start()
        await see_the_end(met, service, observer)
    return met
