"""A worker that serves deletions by Alga's client, on a task queue of its own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.e2e.conftest import Service
from tests.e2e.replicas import replica


@pytest.fixture(scope="module")
async def wire_queue(service: Service) -> AsyncIterator[str]:
    """The task queue; the installation's own worker has `WIRE_DELETION` off."""
    queue = f"wire-{uuid4()}"
    async with replica(service, "worker", TEMPORAL_TASK_QUEUE=queue, WIRE_DELETION="true"):
        yield queue
