"""The worker's probes, on a port of their own."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database_errors import DATABASE_ERRORS
from app.probes import CheckFailedError, probe_routes
from app.settings import Settings
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import OperationsPort


class WorkerHealth:
    """What the probes tell: nothing is ready until the worker polls."""

    def __init__(self) -> None:
        self.polling = False
        self._port: OperationsPort | None = None
        self._engine: AsyncEngine | None = None

    def watch(self, operations: OperationsPort, engine: AsyncEngine) -> None:
        """From now on also look at Temporal and the database."""
        self._port = operations
        self._engine = engine

    async def check_polling(self) -> None:
        """Raise unless the worker polls for work."""
        if not self.polling:
            raise CheckFailedError("the worker does not poll")

    async def check_temporal(self) -> None:
        """Raise unless Temporal serves."""
        if self._port is None:
            raise CheckFailedError("not connected yet")
        try:
            await self._port.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not answer") from None

    async def check_database(self) -> None:
        """Raise unless the database answers."""
        if self._engine is None:
            raise CheckFailedError("not connected yet")
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except DATABASE_ERRORS as error:
            raise CheckFailedError(f"does not answer: {type(error).__name__}") from None


class ProbeServer:
    """Serves the probes while its block runs, signals left to the worker."""

    def __init__(self, settings: Settings, health: WorkerHealth) -> None:
        app = FastAPI(title="alga-tenants worker probes", openapi_url=None, docs_url=None, redoc_url=None)
        app.include_router(
            probe_routes(
                {
                    "polling": health.check_polling,
                    "temporal": health.check_temporal,
                    "database": health.check_database,
                }
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
