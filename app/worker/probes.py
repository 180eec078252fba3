"""The worker's probes and metrics, on a port of their own."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from app.probes import Check, CheckFailedError, NotStartedError, Probes, probe_routes
from app.settings import Settings
from app.telemetry.metrics.dependencies import refresh_dependencies
from app.telemetry.metrics.exposition import metrics_route
from app.telemetry.metrics.operations import refresh_unfinished_operations
from app.telemetry.metrics.webhooks import refresh_webhooks
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from app.worker.foreign_workers import foreign_workers

NOT_CHECKED = "not checked yet"


class WorkerHealth:
    """The state that the worker's probes report: it has started once schema and task queue fit and it polls."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self.probes = Probes(
            {
                "schema": self._check_schema,
                "task-queue": self._check_task_queue,
                "polling": self._check_polling,
                "temporal": self.check_temporal,
                "database": self._check_database,
                "webhooks": self._check_webhooks,
            },
            live=self._check_poller,
        )
        self._temporal: TemporalOperations | None = None
        self.is_polling = False
        self._check_polls: Check | None = None
        self._schema_problem: str | None = NOT_CHECKED
        self._temporal_problem = NOT_CHECKED
        self._queue: TaskQueue | None = None
        self._queue_problem = NOT_CHECKED
        self._webhook_problem: str | None = NOT_CHECKED
        self._failure: str | None = None

    def set_schema_problem(self, reason: str | None) -> None:
        """Report why the database can't be used, or None if it can."""
        self._schema_problem = reason

    def set_temporal_problem(self, reason: str) -> None:
        """Report why there is no connection to Temporal."""
        self._temporal_problem = reason

    def set_temporal(self, operations: TemporalOperations) -> None:
        """Check Temporal itself from now on."""
        self._temporal = operations

    def set_queue_problem(self, reason: str) -> None:
        """Report why the task queue can't be polled."""
        self._queue_problem = reason

    def set_queue(self, queue: TaskQueue) -> None:
        """Report from now on which foreign workers poll the queue, although this one does."""
        self._queue = queue

    def set_webhook_problem(self, reason: str | None) -> None:
        """Report why events are not delivered, or None if they are."""
        self._webhook_problem = reason

    async def poller_failed(self, error: BaseException) -> None:
        """Report that a poller died. The worker then waits for running work, which may never end."""
        self._failure = f"polling failed with {type(error).__name__}"

    def watch_polls(self, check: Check) -> None:
        """Be live only as long as this check of the polls passes."""
        self._check_polls = check

    def drain(self) -> None:
        """Stop being ready, and expect no polls any more."""
        self._check_polls = None
        self.probes.drain()

    async def _check_poller(self) -> None:
        if self._failure is not None:
            raise CheckFailedError(self._failure)
        if self._check_polls is not None:
            await self._check_polls()

    async def _check_polling(self) -> None:
        if self._failure is not None or not self.is_polling:
            raise NotStartedError(self._failure or "the worker does not poll")

    async def _check_schema(self) -> None:
        if self._schema_problem is not None:
            raise NotStartedError(self._schema_problem)

    async def _check_task_queue(self) -> None:
        if self._queue is None:
            raise NotStartedError(self._queue_problem)
        try:
            found = await self._queue.workers()
        except TemporalUnavailableError as error:
            raise CheckFailedError(str(error)) from None
        if found.foreign:
            raise CheckFailedError(foreign_workers(self._queue, found))

    async def check_temporal(self) -> None:
        """Raise `CheckFailedError` unless Temporal responds."""
        if self._temporal is None:
            raise CheckFailedError(self._temporal_problem)
        try:
            await self._temporal.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not respond") from None

    async def _check_webhooks(self) -> None:
        if self._webhook_problem is not None:
            raise CheckFailedError(self._webhook_problem)

    async def _check_database(self) -> None:
        try:
            async with self._database.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except DATABASE_ERRORS as error:
            raise CheckFailedError(f"does not respond: {type(error).__name__}") from None


@asynccontextmanager
async def serve_probes(settings: Settings, health: WorkerHealth, engine: AsyncEngine) -> AsyncIterator[None]:
    """Serve the probes and metrics during the block."""
    app = FastAPI(title="alga-tenants worker probes", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(probe_routes(health.probes))
    refresh = (
        partial(refresh_unfinished_operations, engine),
        partial(refresh_webhooks, engine),
        partial(refresh_dependencies, health.probes),
    )
    app.include_router(metrics_route(*refresh))
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.worker_probe_host,
            port=settings.worker_probe_port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """A server without signal handlers: on SIGTERM the worker drains, and still responds to probes."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
