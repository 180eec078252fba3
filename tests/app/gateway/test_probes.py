import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.probes import CheckFailedError, NotStartedError, Probes, probe_routes

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
async def test_all_is_well(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"schema": "ok", "database": "ok", "temporal": "ok"}}


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_an_outage_is_reported_and_leaves_the_process_ready(
    http: httpx.AsyncClient, parts: dict[str, Part], path: str
) -> None:
    parts["temporal"].error = CheckFailedError("does not answer")
    answer = await http.get(path)
    assert answer.status_code == 200
    checks = {"schema": "ok", "database": "ok", "temporal": "does not answer"}
    assert answer.json() == {"status": "degraded", "checks": checks}


@pytest.mark.parametrize("path", ["/readyz", "/ready", "/startupz"])
async def test_a_process_that_has_not_started_is_not_ready(
    http: httpx.AsyncClient, parts: dict[str, Part], schema: Part, path: str
) -> None:
    schema.error = NotStartedError("run `alga-tenants migrate`")
    parts["temporal"].error = CheckFailedError("does not answer")
    answer = await http.get(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["checks"] == {
        "schema": "run `alga-tenants migrate`",
        "database": "ok",
        "temporal": "does not answer",
    }
    assert answer.json()["detail"] == "schema: run `alga-tenants migrate`; temporal: does not answer"
    schema.error = None
    assert (await http.get(path)).status_code == 200


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
    assert answer.status_code == 200
    assert answer.json()["checks"] == {
        "schema": "ok",
        "database": "did not answer in time",
        "temporal": "did not answer in time",
    }


async def test_who_drains_is_live_and_not_ready(http: httpx.AsyncClient, probes: Probes) -> None:
    await http.get("/startupz")
    probes.drain()
    assert (await http.get("/readyz")).json()["detail"] == "shutdown: the process is ending"
    assert (await http.get("/livez")).status_code == 200
    assert (await http.get("/startupz")).status_code == 200


async def test_a_process_that_is_broken_itself_is_not_live(http: httpx.AsyncClient, process: Part) -> None:
    process.error = CheckFailedError("polling failed")
    answer = await http.get("/livez")
    assert (answer.status_code, answer.json()["detail"]) == (503, "process: polling failed")


async def test_an_event_loop_that_comes_late_is_not_live(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.probes.LONGEST_LAG", -1.0)
    answer = await http.get("/livez")
    assert answer.status_code == 503
    assert answer.json()["checks"]["event-loop"].endswith("s late")
    assert answer.json()["checks"]["process"] == "ok"
