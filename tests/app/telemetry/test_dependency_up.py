"""The gauges that show Prometheus what a process lacks."""

import pytest

from app.probes import CheckFailedError, NotStartedError, Probes
from app.telemetry.metrics.definitions import REGISTRY
from app.telemetry.metrics.dependencies import DependencyGauges

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
    await DependencyGauges(probes).refresh()
    assert (up("schema"), up("temporal")) == (0, 0)
    schema.error = temporal.error = None
    await DependencyGauges(probes).refresh()
    assert (up("schema"), up("temporal")) == (1, 1)


async def test_draining_is_no_outage() -> None:
    probes = Probes({"temporal": Dependency().check})
    probes.drain()
    await DependencyGauges(probes).refresh()
    assert (up("temporal"), up("shutdown")) == (1, None)


async def test_dependencies_are_checked_once_however_many_scrape() -> None:
    temporal = Dependency()
    gauges = DependencyGauges(Probes({"temporal": temporal.check}))
    for _ in range(3):
        await gauges.refresh()
    assert temporal.checked == 1
