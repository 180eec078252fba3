"""More gateways and workers of an installation in the tests' process, where they start much faster than as processes.

They have neither a log file nor probes, and the worker delivers no webhooks. `tests.e2e.replicas` has processes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest

from app.database import long_engine, worker_engine
from app.settings import Settings
from app.temporal.client import connect
from app.worker.factory import create_worker
from tests.app.gateway.server import RunningGateway
from tests.e2e.conftest import Service


@asynccontextmanager
async def gateway_in_process(service: Service, **settings: str) -> AsyncIterator[RunningGateway]:
    """Run a gateway with additional settings, in a thread."""
    gateway = RunningGateway(_settings(service, GATEWAY_PORT="0", **settings), service.installation.api_key)
    await anyio.to_thread.run_sync(gateway.__enter__)
    try:
        yield gateway
    finally:
        await anyio.to_thread.run_sync(gateway.stop)


@asynccontextmanager
async def worker_in_process(service: Service, **settings: str) -> AsyncIterator[str]:
    """Run a worker with additional settings on a task queue of its own, and return the queue."""
    read = _settings(service, **{"TEMPORAL_TASK_QUEUE": f"in-process-{uuid4()}", **settings})
    engine, long = worker_engine(read), long_engine(read)
    try:
        async with create_worker(read, await connect(read, is_worker=True), engine, long=long):
            yield read.temporal_task_queue
    finally:
        await engine.dispose()
        await long.dispose()


def _settings(service: Service, **settings: str) -> Settings:
    """Return what a process would read."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**service.environment, **settings}.items():
            patch.setenv(name, value)
        return Settings.load()
