"""Probes for Kubernetes and people, the same for every process: /livez, /readyz and /startupz."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

LIVE_PATHS = ("/livez", "/health")
READY_PATHS = ("/readyz", "/ready")
STARTUP_PATH = "/startupz"
PATHS = frozenset({*LIVE_PATHS, *READY_PATHS, STARTUP_PATH})

CHECK_TIMEOUT = 2.0
# A loop that comes this late, in seconds, serves nobody any more.
LONGEST_LAG = 2.0
LAG_SAMPLE = 0.02

Check = Callable[[], Awaitable[None]]


class CheckFailedError(Exception):
    """Something that the process needs is not there; the message says what and holds no secret."""


class ProbeReport(BaseModel):
    """What a probe answers when all is well."""

    model_config = ConfigDict(hide_input_in_errors=True)

    status: Literal["ok"] = "ok"
    checks: dict[str, str]


class NotReadyProblem(BaseModel):
    """What a probe answers when something is missing."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["/problems/not-ready"] = "/problems/not-ready"
    title: Literal["Not ready"] = "Not ready"
    status: Literal[503] = 503
    detail: str
    code: Literal["not-ready"] = "not-ready"
    checks: dict[str, str]


class Probes:
    """Runs the checks of a process.

    It is live as long as its own loop and `live` say so, whatever else is away. It has started once `checks` and
    `start`, which count until then only, have all passed; it is ready while `checks` pass, from then until it drains.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, start: Mapping[str, Check] | None = None, live: Check | None = None
    ) -> None:
        self._checks = checks
        self._start = start or {}
        self._live = {"event-loop": check_event_loop, **({"process": live} if live else {})}
        self._has_started = False
        self._is_draining = False

    def drain(self) -> None:
        """From now on not ready: the process was told to end, and finishes what it has begun."""
        self._is_draining = True

    async def liveness(self) -> dict[str, str]:
        """What of the process itself works; nothing that another server could be the reason of."""
        return await _report(self._live)

    async def readiness(self) -> dict[str, str]:
        """Each check's name with `ok` or what is wrong; all run at once and none longer than two seconds."""
        report = await self._started_or_not()
        return {**report, "shutdown": "the process is ending"} if self._is_draining else report

    async def startup(self) -> dict[str, str]:
        """The same until all checks have passed for the first time; from then on always well."""
        return {} if self._has_started else await self._started_or_not()

    async def _started_or_not(self) -> dict[str, str]:
        report = await _report(self._checks if self._has_started else {**self._start, **self._checks})
        self._has_started = self._has_started or _all_ok(report)
        return report


def probe_routes(probes: Probes) -> APIRouter:
    """The probes' routes; a check raises `CheckFailedError` to say what is missing in words."""
    router = APIRouter(tags=["probes"])
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {
            "description": "Something is missing; `checks` says what.",
            "content": {"application/problem+json": {"schema": NotReadyProblem.model_json_schema()}},
        }
    }

    @router.get(LIVE_PATHS[0], summary="Is the process alive?", response_model=ProbeReport, responses=not_ready)
    @router.get(LIVE_PATHS[1], summary="The same as /livez.", response_model=ProbeReport, responses=not_ready)
    async def livez() -> Response:
        return _answer(await probes.liveness())

    @router.get(READY_PATHS[0], summary="Can it serve now?", response_model=ProbeReport, responses=not_ready)
    @router.get(READY_PATHS[1], summary="The same as /readyz.", response_model=ProbeReport, responses=not_ready)
    async def readyz() -> Response:
        return _answer(await probes.readiness())

    @router.get(STARTUP_PATH, summary="Has it ever been ready?", response_model=ProbeReport, responses=not_ready)
    async def startupz() -> Response:
        return _answer(await probes.startup())

    return router


async def check_event_loop() -> None:
    """Raise where what is due on the event loop runs much too late."""
    loop = asyncio.get_running_loop()
    due = loop.time() + LAG_SAMPLE
    await asyncio.sleep(LAG_SAMPLE)
    if (late := loop.time() - due) > LONGEST_LAG:
        raise CheckFailedError(f"{late:.1f} s late")


async def _report(checks: Mapping[str, Check]) -> dict[str, str]:
    results = await asyncio.gather(*(_run(check) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except CheckFailedError as error:
        return str(error)
    except TimeoutError:
        return "did not answer in time"
    except Exception as error:  # noqa: BLE001 - a probe's answer is what went wrong, whatever that is
        return f"failed with {type(error).__name__}"
    return "ok"


def _all_ok(report: Mapping[str, str]) -> bool:
    return all(result == "ok" for result in report.values())


def _answer(report: dict[str, str]) -> Response:
    if _all_ok(report):
        return JSONResponse(ProbeReport(checks=report).model_dump())
    detail = "; ".join(f"{name}: {result}" for name, result in report.items() if result != "ok")
    problem = NotReadyProblem(detail=detail, checks=report)
    return JSONResponse(problem.model_dump(), status_code=503, media_type="application/problem+json")
