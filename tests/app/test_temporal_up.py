"""Whether Temporal answers, as Prometheus is told."""

import asyncio

import pytest

from app.metrics import temporal
from app.metrics.definitions import REGISTRY
from app.metrics.temporal import TemporalUp

pytestmark = pytest.mark.anyio


async def told(*, answers: bool, delay: float = 0) -> float | None:
    async def answer() -> bool:
        await asyncio.sleep(delay)
        return answers

    await TemporalUp(answer).refresh()
    return REGISTRY.get_sample_value("alga_tenants_temporal_up")


async def test_it_is_up_while_it_answers() -> None:
    assert [await told(answers=answers) for answers in (True, False, True)] == [1, 0, 1]


async def test_who_takes_too_long_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal, "ASK_TIMEOUT", 0.05)
    assert await told(answers=True, delay=60) == 0


async def test_it_is_asked_once_however_many_look() -> None:
    asked = 0

    async def answer() -> bool:
        nonlocal asked
        asked += 1
        return True

    up = TemporalUp(answer)
    for _ in range(3):
        await up.refresh()
    assert asked == 1
