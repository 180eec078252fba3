"""What a worker needs before it polls, waited for with back-off: the order in which a cluster starts is no matter."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alga.schema_check import check_schema
from activities.database.errors import DATABASE_ERRORS, classify
from app.settings import Settings
from app.temporal.client import connect, rpc_timeout
from app.temporal.errors import TemporalUnavailableError, reason_of
from migrations.upgrade import UnreleasedSchemaError, pending

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class UnfitDatabaseError(Exception):
    """The database lacks what the activities need; the message lists it."""


async def retry_until_ready(attempt: Callable[[], Awaitable[Result]], say: Callable[[str], None]) -> Result:
    """What the attempt returns, once it does.

    While the database or Temporal is away, or not as it must be, `say` hears why, and it is tried again after pauses
    that grow from a quarter of a second to ten seconds.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (UnfitDatabaseError, TemporalUnavailableError) as error:
            reason = str(error)
        except DATABASE_ERRORS as error:
            reason = _reason(error)
        say(reason)
        log.warning("waiting to start", reason=reason, next_try_in=round(pause, 2))
        # Workers that were started together must not all try at once.
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - not for secrets
        pause = min(pause * 2, LONGEST_PAUSE)


async def check_database(settings: Settings, engine: AsyncEngine) -> None:
    """Raise `UnfitDatabaseError` unless both schemas are as the activities need them."""
    try:
        lacks_migration = await pending(settings.admin_database)
    except UnreleasedSchemaError as error:
        # Waited out like a missing migration, and said each time: the reset needs no restart of the worker.
        raise UnfitDatabaseError(str(error)) from None
    if lacks_migration:
        raise UnfitDatabaseError("schema alga_tenants is not up to date; run `alga-tenants migrate`")
    async with engine.connect() as connection:
        findings = await check_schema(connection)
    for finding in findings:
        if finding.level == "warning":
            log.warning("schema check", table=finding.table, column=finding.column, problem=finding.problem)
    errors = [f"{item.table}: {item.problem}; {item.remedy}" for item in findings if item.level == "error"]
    if errors:
        raise UnfitDatabaseError("the database is not as the activities need it:\n" + "\n".join(errors))


async def connect_to_namespace(settings: Settings) -> Client:
    """A client whose namespace is there; raises `TemporalUnavailableError` where it or the server is not."""
    try:
        client = await connect(settings, is_worker=True)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=settings.temporal_namespace), timeout=rpc_timeout(settings)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            missing = f"Temporal at {settings.temporal_address} has no namespace {settings.temporal_namespace}"
            raise TemporalUnavailableError(missing) from None
        raise TemporalUnavailableError(f"Temporal at {settings.temporal_address}: {error.status.name}") from None
    except RuntimeError as error:
        raise TemporalUnavailableError(f"Temporal at {settings.temporal_address}: {reason_of(error)}") from None
    except OSError as error:
        raise TemporalUnavailableError(f"{error.filename} can't be read: {error.strerror}") from None
    return client


def _reason(error: Exception) -> str:
    diagnosis = classify(error)
    return diagnosis.detail if diagnosis else f"the database can't be reached: {type(error).__name__}"
