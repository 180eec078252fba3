"""Waits with back-off for what a worker needs before it polls, so that services can start in any order."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alga.blueprints.blueprint import load_blueprints
from activities.alga.blueprints.schema import find_misfits
from activities.alga.schema_check import check_schema
from activities.database.errors import DATABASE_ERRORS, classify
from app.settings import Settings
from app.temporal.client import connect, rpc_timeout
from app.temporal.errors import TemporalUnavailableError, reason_of
from migrations.revisions import UnreleasedSchemaError, pending

FIRST_DELAY = 0.25
MAX_DELAY = 10.0

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class UnfitDatabaseError(Exception):
    """The database lacks what the activities need; the message lists that."""


class ForeignWorkersError(Exception):
    """Workers of another service poll the task queue; the message names them and what to do."""


async def retry_until_ready(attempt: Callable[[], Awaitable[Result]], on_wait: Callable[[str], None]) -> Result:
    """Repeat the attempt until the database, Temporal and the task queue are ready, and return its result.

    `on_wait` is called with the reason of each delay; delays grow from a quarter of a second to ten seconds.
    """
    delay = FIRST_DELAY
    while True:
        try:
            return await attempt()
        except (UnfitDatabaseError, ForeignWorkersError, TemporalUnavailableError) as error:
            reason = str(error)
        except DATABASE_ERRORS as error:
            diagnosis = classify(error)
            reason = diagnosis.detail if diagnosis else f"the database can't be reached: {type(error).__name__}"
        on_wait(reason)
        log.warning("waiting to start", reason=reason, next_try_in=round(delay, 2))
        # So that workers that start together do not all try at once.
        await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - not for secrets
        delay = min(delay * 2, MAX_DELAY)


async def check_database(settings: Settings, engine: AsyncEngine) -> None:
    """Raise `UnfitDatabaseError` unless both schemas fit the activities."""
    try:
        lacks_migration = await pending(settings.admin_database)
    except UnreleasedSchemaError as error:
        # Retried like a missing migration, so that the reset needs no restart of the worker.
        raise UnfitDatabaseError(str(error)) from None
    if lacks_migration:
        raise UnfitDatabaseError("schema alga_tenants is not up to date; run `alga-tenants migrate`")
    async with engine.connect() as connection:
        findings = await check_schema(connection)
        misfits = [
            f"blueprint {product}: {misfit}"
            for product, blueprint in load_blueprints(settings.blueprints_dir).items()
            for misfit in await find_misfits(connection, blueprint)
        ]
    for finding in findings:
        if finding.level == "warning":
            log.warning("schema check", table=finding.table, column=finding.column, problem=finding.problem)
    errors = [f"{item.table}: {item.problem}; {item.remedy}" for item in findings if item.level == "error"]
    errors += misfits
    if errors:
        raise UnfitDatabaseError("the database does not fit the activities:\n" + "\n".join(errors))


async def connect_to_namespace(settings: Settings) -> Client:
    """Return a client whose namespace exists; raises `TemporalUnavailableError` if there is none."""
    server = f"Temporal at {settings.temporal_address}"
    try:
        client = await connect(settings, is_worker=True)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=settings.temporal_namespace), timeout=rpc_timeout(settings)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            message = f"{server} has no namespace {settings.temporal_namespace}"
            raise TemporalUnavailableError(message) from None
        raise TemporalUnavailableError(f"{server}: {error.status.name}") from None
    except RuntimeError as error:
        raise TemporalUnavailableError(f"{server}: {reason_of(error)}") from None
    except OSError as error:
        raise TemporalUnavailableError(f"{error.filename} can't be read: {error.strerror}") from None
    return client
