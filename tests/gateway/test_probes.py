import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.probes import CheckFailedError, probe_routes

pytestmark = pytest.mark.anyio


class Part:
    """Something that a process needs, in the state that a test gives it."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False

    async def check(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
def parts() -> dict[str, Part]:
    return {"database": Part(), "temporal": Part()}


@pytest.fixture
def http(parts: dict[str, Part]) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(probe_routes({name: part.check for name, part in parts.items()}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://probes")


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_all_is_well(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "temporal": "ok"}}


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_what_is_missing_is_named(http: httpx.AsyncClient, parts: dict[str, Part], path: str) -> None:
    parts["temporal"].error = CheckFailedError("does not answer")
    answer = await http.get(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["checks"] == {"database": "ok", "temporal": "does not answer"}
    assert answer.json()["detail"] == "temporal: does not answer"


@pytest.mark.parametrize("path", ["/livez", "/health"])
async def test_a_process_lives_whatever_is_missing(
    http: httpx.AsyncClient, parts: dict[str, Part], path: str
) -> None:
    parts["database"].error = CheckFailedError("gone")
    assert (await http.get(path)).status_code == 200


async def test_an_error_that_nobody_expected_tells_its_kind_only(
    http: httpx.AsyncClient, parts: dict[str, Part]
) -> None:
    parts["database"].error = RuntimeError("password=secret")
    assert (await http.get("/readyz")).json()["checks"]["database"] == "failed with RuntimeError"


async def test_checks_that_hang_cost_two_seconds_together(http: httpx.AsyncClient, parts: dict[str, Part]) -> None:
    for part in parts.values():
        part.hangs = True
    started = asyncio.get_running_loop().time()
    answer = await http.get("/readyz")
    assert asyncio.get_running_loop().time() - started < 3
    assert set(answer.json()["checks"].values()) == {"did not answer in time"}


async def test_who_has_once_started_stays_started(http: httpx.AsyncClient, parts: dict[str, Part]) -> None:
    parts["database"].error = CheckFailedError("gone")
    assert (await http.get("/startupz")).status_code == 503
    parts["database"].error = None
    assert (await http.get("/startupz")).status_code == 200
    parts["database"].error = CheckFailedError("gone")
    assert (await http.get("/startupz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 503
