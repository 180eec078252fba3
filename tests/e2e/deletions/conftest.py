"""A worker that serves deletions by Alga's client, on a task queue of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import Service
from tests.e2e.in_process import worker_in_process


@pytest.fixture(scope="module")
async def wire_queue(service: Service) -> AsyncIterator[str]:
    """The task queue; the installation's own worker has `WIRE_DELETION` off."""
    async with worker_in_process(service, WIRE_DELETION="true") as queue:
        yield queue
