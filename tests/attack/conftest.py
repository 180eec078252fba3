"""Attacks on a running gateway: in this process where a test looks inside, else on a process of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.app.gateway.conftest import (
    api_key,
    database,
    gateway,
    gateway_database,
    http,
    keys,
    migrated_template,
    settings,
    temporal_client,
)
from tests.attack.process import GatewayProcess

__all__ = [
    "api_key",
    "database",
    "gateway",
    "gateway_database",
    "http",
    "keys",
    "migrated_template",
    "settings",
    "temporal_client",
]


@pytest.fixture
def start(settings: Settings, api_key: str, tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Start a gateway process with these variables besides the usual ones."""
    started: list[GatewayProcess] = []

    def start(**environment: str) -> GatewayProcess:
        log_file = tmp_path / f"gateway-{len(started)}.log"
        started.append(GatewayProcess(settings, api_key, log_file, **environment))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.stop()
