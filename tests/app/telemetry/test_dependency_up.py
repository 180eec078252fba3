"""Gauges of the servers that a process depends on."""

from functools import partial

import httpx
import pytest
from fastapi import FastAPI

from app.probes import CheckFailedError, NotStartedError, Probes
from app.telemetry.metrics.definitions import REGISTRY
from app.telemetry.metrics.dependencies import refresh_dependencies
from app.telemetry.metrics.exposition import metrics_route

pytestmark = pytest.mark.anyio


class Dependency:
    """A dependency that counts its checks."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.checked = 0

    async def check(self) -> None:
        self.checked += 1
        if self.error is not None:
            raise self.error


def up(dependency: str) -> float | None:
    return REGISTRY.get_sample_value("alga_tenants_dependency_up", {"dependency": dependency})


async def test_each_check_is_1_while_it_passes() -> None:
    schema, temporal = Dependency(), Dependency()
    probes = Probes({"schema": schema.check, "temporal": temporal.check})
    schema.error, temporal.error = NotStartedError("missing"), CheckFailedError("away")
    await refresh_dependencies(probes)
    assert (up("schema"), up("temporal")) == (0, 0)
    schema.error = temporal.error = None
    await refresh_dependencies(probes)
    assert (up("schema"), up("temporal")) == (1, 1)


async def test_draining_is_not_an_outage() -> None:
    probes = Probes({"temporal": Dependency().check})
    probes.drain()
    await refresh_dependencies(probes)
    assert (up("temporal"), up("shutdown")) == (1, None)


async def test_frequent_scrapes_share_one_check() -> None:
    temporal = Dependency()
    probes = Probes({"temporal": temporal.check})
    app = FastAPI()
    app.include_router(metrics_route(partial(refresh_dependencies, probes)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        for _ in range(3):
            assert (await http.get("/metrics")).status_code == 200
    assert temporal.checked == 1
