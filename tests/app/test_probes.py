import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.probes import CheckFailedError, NotStartedError, Probes, probe_routes

pytestmark = pytest.mark.anyio


class Part:
    """A dependency whose state a test sets."""

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
def schema() -> Part:
    return Part()


@pytest.fixture
def process() -> Part:
    return Part()


@pytest.fixture
def probes(parts: dict[str, Part], schema: Part, process: Part) -> Probes:
    checks = {name: part.check for name, part in parts.items()}
    return Probes({"schema": schema.check, **checks}, live=process.check)


@pytest.fixture
def http(probes: Probes) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(probe_routes(probes))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://probes")


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_all_checks_pass(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"schema": "ok", "database": "ok", "temporal": "ok"}}


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_an_outage_is_reported_and_leaves_the_process_ready(
    http: httpx.AsyncClient, parts: dict[str, Part], path: str
) -> None:
    parts["temporal"].error = CheckFailedError("does not respond")
    response = await http.get(path)
    assert response.status_code == 200
    checks = {"schema": "ok", "database": "ok", "temporal": "does not respond"}
    assert response.json() == {"status": "degraded", "checks": checks}


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_a_process_that_has_not_started_is_not_ready(
    http: httpx.AsyncClient, parts: dict[str, Part], schema: Part, path: str
) -> None:
    schema.error = NotStartedError("run `alga-tenants migrate`")
    parts["temporal"].error = CheckFailedError("does not respond")
    response = await http.get(path)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["checks"] == {
        "schema": "run `alga-tenants migrate`",
        "database": "ok",
        "temporal": "does not respond",
    }
    assert response.json()["detail"] == "schema: run `alga-tenants migrate`; temporal: does not respond"
    schema.error = None
    assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/health"])
async def test_a_process_is_live_without_its_dependencies(
    http: httpx.AsyncClient, parts: dict[str, Part], path: str
) -> None:
    parts["database"].error = CheckFailedError("gone")
    assert (await http.get(path)).status_code == 200


async def test_an_unexpected_error_shows_only_its_class(http: httpx.AsyncClient, parts: dict[str, Part]) -> None:
    parts["database"].error = RuntimeError("password=secret")
    assert (await http.get("/readyz")).json()["checks"]["database"] == "failed with RuntimeError"


async def test_hanging_checks_take_two_seconds_together(http: httpx.AsyncClient, parts: dict[str, Part]) -> None:
    for part in parts.values():
        part.hangs = True
    started = asyncio.get_running_loop().time()
    response = await http.get("/readyz")
    assert asyncio.get_running_loop().time() - started < 3
    assert response.status_code == 200
    assert response.json()["checks"] == {
        "schema": "ok",
        "database": "did not respond in time",
        "temporal": "did not respond in time",
    }


async def test_a_draining_process_is_live_but_not_ready(http: httpx.AsyncClient, probes: Probes) -> None:
    await http.get("/startupz")
    probes.drain()
    assert (await http.get("/readyz")).json()["detail"] == "shutdown: the process is ending"
    assert (await http.get("/livez")).status_code == 200
    assert (await http.get("/startupz")).status_code == 200


async def test_a_broken_process_is_not_live(http: httpx.AsyncClient, process: Part) -> None:
    process.error = CheckFailedError("polling failed")
    response = await http.get("/livez")
    assert (response.status_code, response.json()["detail"]) == (503, "process: polling failed")


async def test_a_late_event_loop_is_not_live(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.probes.MAX_LAG", -1.0)
    response = await http.get("/livez")
    assert response.status_code == 503
    assert response.json()["checks"]["event-loop"].endswith("s late")
    assert response.json()["checks"]["process"] == "ok"
