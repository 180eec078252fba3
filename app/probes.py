"""Probes for Kubernetes and people, the same for every process: /livez, /readyz and /startupz."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
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
OK = "ok"

Check = Callable[[], Awaitable[None]]


class CheckFailedError(Exception):
    """Something that the process uses is missing. The message says what and holds no secret."""


class NotStartedError(CheckFailedError):
    """Something is missing without which the process can't serve any request."""


class ProbeReport(BaseModel):
    """Body of a probe that passes; `degraded` if a check failed that doesn't keep the process from serving."""

    model_config = ConfigDict(hide_input_in_errors=True)

    status: Literal["ok", "degraded"]
    checks: dict[str, str]


class NotReadyProblem(BaseModel):
    """Body of a probe that fails."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["/problems/not-ready"] = "/problems/not-ready"
    title: Literal["Not ready"] = "Not ready"
    status: Literal[503] = 503
    detail: str
    code: Literal["not-ready"] = "not-ready"
    checks: dict[str, str]


@dataclass(frozen=True)
class Report:
    """Results of a probe's checks by name, and whether the probe passes."""

    checks: dict[str, str]
    passes: bool

    @property
    def missing(self) -> dict[str, str]:
        """The checks that failed."""
        return {name: result for name, result in self.checks.items() if result != OK}


class Probes:
    """Runs the checks of a process.

    It is live as long as its own loop and `live` are well. It has started unless a check raises `NotStartedError`,
    and is ready if it has started and does not drain. Any other failed check is reported and changes nothing.
    """

    def __init__(self, checks: Mapping[str, Check], *, live: Check | None = None) -> None:
        self._checks = checks
        self._live = {"event-loop": check_event_loop, **({"process": live} if live else {})}
        self._is_draining = False

    def drain(self) -> None:
        """Stop being ready: the process ends once it has finished what it has begun."""
        self._is_draining = True

    async def liveness(self) -> Report:
        """Check the process itself, and nothing that another server could be the cause of."""
        report = await _report(self._live)
        return replace(report, passes=not report.missing)

    async def readiness(self) -> Report:
        """Run all checks at once, none longer than two seconds, and report a shutdown."""
        report = await self.startup()
        if not self._is_draining:
            return report
        return Report({**report.checks, "shutdown": "the process is ending"}, passes=False)

    async def startup(self) -> Report:
        """Run the same checks, no matter whether the process is ending."""
        return await _report(self._checks)


def probe_routes(probes: Probes) -> APIRouter:
    """Return the routes of the probes."""
    router = APIRouter(tags=["probes"])
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {
            "description": "The process can't serve; `checks` says why.",
            "content": {"application/problem+json": {"schema": NotReadyProblem.model_json_schema()}},
        }
    }

    @router.get(LIVE_PATHS[0], summary="Is the process alive?", response_model=ProbeReport, responses=not_ready)
    @router.get(LIVE_PATHS[1], summary="The same as /livez.", response_model=ProbeReport, responses=not_ready)
    async def livez() -> Response:
        return _response(await probes.liveness())

    @router.get(
        READY_PATHS[0],
        summary="Can it serve now?",
        response_model=ProbeReport,
        responses=not_ready,
    )
    @router.get(READY_PATHS[1], summary="The same as /readyz.", response_model=ProbeReport, responses=not_ready)
    async def readyz() -> Response:
        return _response(await probes.readiness())

    @router.get(STARTUP_PATH, summary="Has it started?", response_model=ProbeReport, responses=not_ready)
    async def startupz() -> Response:
        return _response(await probes.startup())

    return router


async def check_event_loop() -> None:
    """Raise if what is due on the event loop runs much too late."""
    loop = asyncio.get_running_loop()
    due = loop.time() + LAG_SAMPLE
    await asyncio.sleep(LAG_SAMPLE)
    if (late := loop.time() - due) > LONGEST_LAG:
        raise CheckFailedError(f"{late:.1f} s late")


async def _report(checks: Mapping[str, Check]) -> Report:
    results = await asyncio.gather(*(_run(check) for check in checks.values()))
    found = dict(zip(checks, (text for text, _ in results), strict=True))
    return Report(found, all(can_serve for _, can_serve in results))


async def _run(check: Check) -> tuple[str, bool]:
    """Return what the check found, and whether the process can serve."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except CheckFailedError as error:
        return str(error), not isinstance(error, NotStartedError)
    except TimeoutError:
        return "did not answer in time", True
    except Exception as error:  # noqa: BLE001 - a probe reports whatever went wrong
        return f"failed with {type(error).__name__}", True
    return OK, True


def _response(report: Report) -> Response:
    if report.passes:
        status: Literal["ok", "degraded"] = "degraded" if report.missing else "ok"
        return JSONResponse(ProbeReport(status=status, checks=report.checks).model_dump())
    detail = "; ".join(f"{name}: {result}" for name, result in report.missing.items())
    problem = NotReadyProblem(detail=detail, checks=report.checks)
    return JSONResponse(problem.model_dump(), status_code=503, media_type="application/problem+json")
