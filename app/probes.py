"""Probes of every process: /livez, /readyz and /startupz."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

LIVE_PATHS = ("/livez", "/health")
READY_PATHS = ("/readyz", "/ready")
STARTUP_PATH = "/startupz"
PATHS = frozenset({*LIVE_PATHS, *READY_PATHS, STARTUP_PATH})

CHECK_TIMEOUT = 2.0
# Seconds by which the event loop may be late.
MAX_LAG = 2.0
LAG_SAMPLE = 0.02
OK = "ok"

Check = Callable[[], Awaitable[None]]


class CheckFailedError(Exception):
    """A dependency of the process is missing. The message says which, without secrets."""


class NotStartedError(CheckFailedError):
    """A dependency is missing without which the process can't serve any request."""


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

    It has started unless a check raises `NotStartedError`, and is ready if it has started and does not drain. Other
    failed checks are only reported. It is live if its event loop and the check `live` are well.
    """

    def __init__(self, checks: Mapping[str, Check], *, live: Check | None = None) -> None:
        self._checks = checks
        self._live = {"event-loop": check_event_loop, **({"process": live} if live else {})}
        self._is_draining = False

    def drain(self) -> None:
        """Stop being ready, because the process is about to end."""
        self._is_draining = True

    async def liveness(self) -> Report:
        """Check the process itself, but no dependency."""
        report = await _report(self._live)
        return replace(report, passes=not report.missing)

    async def readiness(self) -> Report:
        """Run all checks, which takes two seconds at most, and report a shutdown."""
        report = await self.startup()
        if not self._is_draining:
            return report
        return Report({**report.checks, "shutdown": "the process is ending"}, passes=False)

    async def startup(self) -> Report:
        """Run all checks, but ignore a shutdown."""
        return await _report(self._checks)


def probe_routes(probes: Probes) -> APIRouter:
    """Return the routes of the probes."""
    router = APIRouter(tags=["probes"])
    content = {"application/problem+json": {"schema": NotReadyProblem.model_json_schema()}}
    not_ready = {"description": "The process can't serve; `checks` says why.", "content": content}
    for paths, summary, description, probe in (
        (LIVE_PATHS, "Is the process alive?", "Checks the process itself.", probes.liveness),
        (READY_PATHS, "Can it serve now?", "Checks what the process needs. Fails while it ends.", probes.readiness),
        ((STARTUP_PATH,), "Has it started?", "Checks what the process needs.", probes.startup),
    ):
        for path in paths:
            router.add_api_route(
                path,
                _endpoint(probe),
                summary=summary if path == paths[0] else f"The same as {paths[0]}.",
                name=paths[0].strip("/"),
                operation_id=path.strip("/"),
                description=description,
                response_model=ProbeReport,
                responses={503: not_ready},
            )
    return router


def _endpoint(probe: Callable[[], Awaitable[Report]]) -> Callable[[], Awaitable[Response]]:
    async def respond() -> Response:
        report = await probe()
        if report.passes:
            status: Literal["ok", "degraded"] = "degraded" if report.missing else "ok"
            return JSONResponse(ProbeReport(status=status, checks=report.checks).model_dump())
        detail = "; ".join(f"{name}: {result}" for name, result in report.missing.items())
        problem = NotReadyProblem(detail=detail, checks=report.checks)
        return JSONResponse(problem.model_dump(), status_code=503, media_type="application/problem+json")

    return respond


async def check_event_loop() -> None:
    """Raise `CheckFailedError` if the event loop is late."""
    loop = asyncio.get_running_loop()
    due = loop.time() + LAG_SAMPLE
    await asyncio.sleep(LAG_SAMPLE)
    if (late := loop.time() - due) > MAX_LAG:
        raise CheckFailedError(f"{late:.1f} s late")


async def _report(checks: Mapping[str, Check]) -> Report:
    results = await asyncio.gather(*(_run(check) for check in checks.values()))
    found = dict(zip(checks, (text for text, _ in results), strict=True))
    return Report(found, all(can_serve for _, can_serve in results))


async def _run(check: Check) -> tuple[str, bool]:
    """Return the result of a check, and whether the process can serve."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except CheckFailedError as error:
        return str(error), not isinstance(error, NotStartedError)
    except TimeoutError:
        return "did not respond in time", True
    except Exception as error:  # noqa: BLE001 - a probe reports every error
        return f"failed with {type(error).__name__}", True
    return OK, True
