"""A whole installation, as in the end-to-end tests, and a stranger who may write to Temporal and has no key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.embedded.temporal import EmbeddedTemporal
from tests.attack.temporal.stranger import Stranger
from tests.e2e.conftest import Service, database, installations, service
from tests.support.servers.restartable import RestartableTemporal

__all__ = ["database", "installations", "service"]


@pytest.fixture(scope="package")
def temporal(server_folder: Path) -> Iterator[RestartableTemporal]:
    """A server of its own, whose folder the end-to-end tests of the same process don't use."""
    with RestartableTemporal(server_folder / "attacked-temporal", durable=False) as server:
        yield server


@pytest.fixture(scope="package")
def running(installations: Callable[[str], Service]) -> Service:
    return installations("plain")


@pytest.fixture
async def stranger(service: Service, temporal: EmbeddedTemporal) -> Stranger:
    return await Stranger.at(temporal.address, service.task_queue)
