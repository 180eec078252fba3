"""The worker's probes and metrics, on a port of their own."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from app.probes import CheckFailedError, NotStartedError, Probes, probe_routes
from app.settings import Settings
from app.telemetry.metrics.dependencies import refresh_dependencies
from app.telemetry.metrics.exposition import metrics_route
from app.telemetry.metrics.operations import refresh_unfinished_operations
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations

NOT_YET = "not looked at yet"


class WorkerHealth:
    """State that the worker's probes report: it has started once the schema fits and it polls."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._temporal: TemporalOperations | None = None
        self.probes = Probes(
            {
                "schema": self._check_schema,
                "polling": self._check_polling,
                "temporal": self._check_temporal,
                "database": self._check_database,
            },
            live=self._check_poller,
        )
        self._polls = False
        self._failure: str | None = None
        self._schema: str | None = NOT_YET
        self._no_temporal = NOT_YET

    def waits_for_schema(self, reason: str) -> None:
        """Note what the database lacks, or that it does not answer."""
        self._schema = reason

    def has_schema(self) -> None:
        """Note that the database is as the activities need it."""
        self._schema = None

    def waits_for_temporal(self, reason: str) -> None:
        """Note that Temporal does not answer, or lacks the namespace."""
        self._no_temporal = reason

    def has_temporal(self, operations: TemporalOperations) -> None:
        """Check Temporal itself from now on."""
        self._temporal = operations

    def polls(self) -> None:
        """Note that the worker has begun to poll."""
        self._polls = True

    async def poller_failed(self, error: BaseException) -> None:
        """Note that a poller died. The worker then waits for running work, which may take for ever."""
        self._failure = f"polling failed with {type(error).__name__}"

    async def _check_poller(self) -> None:
        if self._failure is not None:
            raise CheckFailedError(self._failure)

    async def _check_polling(self) -> None:
        if self._failure is not None or not self._polls:
            raise NotStartedError(self._failure or "the worker does not poll")

    async def _check_schema(self) -> None:
        if self._schema is not None:
            raise NotStartedError(self._schema)

    async def _check_temporal(self) -> None:
        if self._temporal is None:
            raise CheckFailedError(self._no_temporal)
        try:
            await self._temporal.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not respond") from None

    async def _check_database(self) -> None:
        try:
            async with self._database.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except DATABASE_ERRORS as error:
            raise CheckFailedError(f"does not respond: {type(error).__name__}") from None


class ProbeServer:
    """Serves the probes while its block runs, signals left to the worker."""

    def __init__(self, settings: Settings, health: WorkerHealth, engine: AsyncEngine) -> None:
        app = FastAPI(title="alga-tenants worker probes", openapi_url=None, docs_url=None, redoc_url=None)
        app.include_router(probe_routes(health.probes))
        app.include_router(
            metrics_route(
                partial(refresh_unfinished_operations, engine), partial(refresh_dependencies, health.probes)
            )
        )
        config = uvicorn.Config(
            app,
            host=settings.worker_probe_host,
            port=settings.worker_probe_port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    """A server without signal handlers of its own: the worker drains on SIGTERM and answers probes meanwhile."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
