"""The gateway says if no worker polls its task queue, and stays ready."""

from uuid import uuid4

import httpx
import pytest

from app.database import worker_engine
from app.gateway.readiness import Readiness
from app.probes import CheckFailedError
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from tests.app.gateway.conftest import working
from tests.support.foreign_worker import foreign_worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


async def test_a_gateway_without_a_worker_is_ready_and_says_so(http: httpx.AsyncClient, settings: Settings) -> None:
    readiness = await http.get("/readyz")
    assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
    problem = f"no worker polls task queue {settings.temporal_task_queue}"
    assert readiness.json()["checks"] == {
        "migrations": "ok",
        "database": "ok",
        "temporal": "ok",
        "task-queue": problem,
    }
    assert (await http.get("/startupz")).status_code == 200
    metrics = (await http.get("/metrics")).text
    assert 'alga_tenants_dependency_up{dependency="task-queue"} 0.0' in metrics
    assert 'alga_tenants_task_queue_workers{owner="own"} 0.0' in metrics


async def test_only_a_worker_of_ours_counts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.temporal.task_queue.MIN_LOOK_INTERVAL", 0)
    settings = settings.model_copy(update={"temporal_task_queue": f"served-{uuid4()}"})
    client, engine = await connect(settings), worker_engine(settings)
    queue = TaskQueue(client, settings)
    readiness = Readiness(engine, TemporalOperations(client, settings), queue)

    async def polls(owner: str) -> bool:
        return bool(getattr(await queue.workers(), owner))

    async with foreign_worker(settings.temporal_address, queue.name):
        await wait_until(lambda: polls("foreign"), timeout=PATIENCE)
        with pytest.raises(CheckFailedError, match=r"no worker polls .* except those of another"):
            await readiness.check_task_queue()
    async with working(settings):
        await wait_until(lambda: polls("own"), timeout=PATIENCE)
        await readiness.check_task_queue()
