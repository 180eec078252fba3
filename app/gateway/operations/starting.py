"""Starts operations on existing tenants, one at a time for each tenant, and inserts the rows of operations."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID, uuid4, uuid5
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS, is_lock_timeout
from activities.database.own_tables import READING_KIND
from activities.database.transactions import Statement, Transaction, Transactions
from activities.errors import FinalError
from activities.operations.queries import OperationRecord, find_open_of_tenant, newest_request
from activities.operations.rows import OperationRow
from app.database import database_errors
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationInProgressError, OperationNotFoundError, TenantBusyError
from app.temporal.errors import OperationExistsError
from app.temporal.operations import TemporalOperations
from workflows.operations.kinds import OperationKind
from workflows.operations.messages import OperationContext, OperationRequest, OperationSnapshot, Origin

# How long a request waits for others on the same tenant: those of this gateway and those of other gateways.
MAX_WAIT_SECONDS = 3.0
# The tenant's id follows.
LOCK_NAME = "start of an operation on"

# It holds for all locks of the transaction.
_LIMIT_WAIT = text("SET LOCAL lock_timeout = :milliseconds")
_LOCK_TENANT = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

_ROW_ERRORS: tuple[type[Exception], ...] = (FinalError, *DATABASE_ERRORS)

Check: TypeAlias = Callable[[AsyncConnection], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass
class _Queue:
    """The requests of this gateway for one tenant, of which one at a time uses the database.

    `open_id` is the workflow id of the open operation that the last of them has found or started.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    open_id: str | None = None


@dataclass(frozen=True, repr=False)
class _Wanted:
    """An operation to start on a tenant."""

    kind: OperationKind
    workflow_type: str
    tenant_id: UUID
    request: OperationRequest
    check: Check | None


class OperationStarts:
    """Starts operations, and inserts their rows. Starts hold at most `max_connections` of the engine's pool."""

    def __init__(
        self,
        engine: AsyncEngine,
        operations: TemporalOperations,
        lookup: OperationLookup,
        audit: AuditTrail,
        *,
        max_connections: int,
    ) -> None:
        self._engine = engine
        self._transactions = Transactions(engine)
        self._operations = operations
        self._lookup = lookup
        self._audit = audit
        # Each queue lives as long as a request refers to it.
        self._queues: WeakValueDictionary[tuple[UUID, bool], _Queue] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(max_connections)

    async def start(
        self,
        kind: OperationKind,
        workflow_type: str,
        request: OperationRequest,
        *,
        is_same: Callable[[OperationSnapshot], bool],
        check: Check | None = None,
    ) -> OperationView:
        """Start an operation on the request's tenant, or return the tenant's open one if it is of the kind and same.

        Simultaneous requests, to any number of gateways, start one operation. `check` runs in the transaction before
        the start, and raises what prevents it.

        Raises:
            OperationInProgressError: another operation on the tenant has not ended.
            TenantBusyError: others were starting an operation on the tenant for too long, and nothing was started.
            TemporalUnavailableError: nothing was started, or the same request finds what may have been started.
            DatabaseUnavailableError: nothing was started.
        """
        if (tenant_id := request.tenant_id) is None:
            raise ValueError("the request names no tenant")
        origin = request.origin.model_copy(update={"start_id": str(uuid4())})
        request = request.model_copy(update={"origin": origin})
        wanted = _Wanted(kind, workflow_type, tenant_id, request, check)
        queue = self._queues.setdefault((tenant_id, kind.name == READING_KIND), _Queue())
        for is_repeated in (False, True):
            async with self._turn(queue) as seconds_left:
                if is_repeated or queue.open_id is None:
                    queue.open_id, started = await self._find_or_start(wanted, seconds_left, is_repeated=is_repeated)
                    if started is not None:
                        return started
                workflow_id = queue.open_id
            operation = await self._lookup.find(workflow_id)
            if operation.is_open:
                break
            # It has ended, and if its workflow was ended from outside, the lookup has closed its row.
        if operation.snapshot.kind != kind.name or not is_same(operation.snapshot):
            raise _in_progress(operation, kind)
        return operation

    async def find_open(self, kind: OperationKind, tenant_id: UUID) -> OperationRecord | None:
        """Return the tenant's open operation of that kind, or None; also one whose row could not be written yet.

        Raises `TemporalUnavailableError` if no row says so and Temporal can't be asked, and
        `DatabaseUnavailableError`.
        """
        with database_errors():
            async with self._engine.connect() as connection:
                # First, because a row that is written meanwhile comes with the next key.
                key = await _start_key(connection, tenant_id, kind)
                record = await find_open_of_tenant(connection, tenant_id, kind.name)
        if record is not None:
            return record if record.snapshot.kind == kind.name else None
        try:
            operation = await self._lookup.find(kind.workflow_id(key))
        except OperationNotFoundError:
            return None
        if not operation.is_open:
            return None
        return OperationRecord(operation.workflow_id, operation.run_id, operation.snapshot)

    async def record(self, operation: OperationView, origin: Origin) -> None:
        """Insert the operation's row, so that it is listed even if no worker runs; without one the worker does it."""
        try:
            async with self._transactions.begin() as transaction:
                await self._insert(transaction, operation, origin)
        except _ROW_ERRORS as error:
            _log_missing_row(operation, error)

    @asynccontextmanager
    async def _turn(self, queue: _Queue) -> AsyncIterator[float]:
        """Wait for other requests to this gateway; yields the seconds that are left to wait for other gateways."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(MAX_WAIT_SECONDS):
                    await stack.enter_async_context(queue.lock)
                    await stack.enter_async_context(self._slots)
            except TimeoutError:
                raise TenantBusyError from None
            yield MAX_WAIT_SECONDS - (time.monotonic() - began)

    async def _find_or_start(
        self, wanted: _Wanted, seconds_left: float, *, is_repeated: bool
    ) -> tuple[str, OperationView | None]:
        """Return the workflow id of the tenant's open operation, or start one and return its view as well."""
        started: OperationView | None = None
        with database_errors():
            try:
                async with self._transactions.begin() as transaction:
                    connection = transaction.connection
                    await _lock_tenant(transaction, wanted.tenant_id, seconds_left)
                    if (
                        known := await find_open_of_tenant(connection, wanted.tenant_id, wanted.kind.name)
                    ) is not None:
                        return known.workflow_id, None
                    if wanted.check is not None:
                        await wanted.check(connection)
                    key = uuid4() if is_repeated else await _start_key(connection, wanted.tenant_id, wanted.kind)
                    workflow_id = wanted.kind.workflow_id(key)
                    started = OperationView.of_temporal(
                        await self._operations.start(wanted.kind, wanted.workflow_type, workflow_id, wanted.request)
                    )
                    await self._insert(transaction, started, wanted.request.origin)
            except OperationExistsError:
                return workflow_id, None
            except _ROW_ERRORS as error:
                if started is None:
                    raise
                _log_missing_row(started, error)
        return started.workflow_id, started

    async def _insert(self, transaction: Transaction, operation: OperationView, origin: Origin) -> None:
        """Insert the row, and the audit event of the request, unless the worker was faster."""
        context = OperationContext(
            workflow_id=operation.workflow_id,
            run_id=operation.run_id,
            namespace=self._operations.namespace,
            origin=origin,
            snapshot=operation.snapshot,
        )
        row = OperationRow(transaction.connection, context)
        await row.ensure()
        for event in row.request_events:
            await self._audit.append_with_commit(transaction, event)


async def _lock_tenant(transaction: Transaction, tenant_id: UUID, seconds: float) -> None:
    """Wait until no other gateway is starting an operation on the tenant; raises `TenantBusyError`."""
    # 0 would be no limit.
    milliseconds = max(1, int(seconds * 1000))
    lock = Statement(_LOCK_TENANT, {"name": f"{LOCK_NAME} {tenant_id}"})
    try:
        await transaction.run(Statement(_LIMIT_WAIT, {"milliseconds": milliseconds}), lock)
    except DATABASE_ERRORS as error:
        if is_lock_timeout(error):
            raise TenantBusyError from None
        raise


async def _start_key(connection: AsyncConnection, tenant_id: UUID, kind: OperationKind) -> UUID:
    """Derive the operation's UUID from what the tenant has had before, so that a start that has no row is found.

    That is one whose gateway was killed, or got no response from Temporal, and which no worker has begun.
    """
    number = await newest_request(connection, tenant_id, kind)
    return uuid5(tenant_id, f"{kind.name} {number}")


def _in_progress(operation: OperationView, wanted: OperationKind) -> OperationInProgressError:
    snapshot, links = operation.snapshot, operation.document.links
    cancel = ""
    if links.cancel is not None:
        call = operation.kind.cancel_call
        by_id = f"cancel it: DELETE {links.cancel}"
        cancel = f", or {call.format(tenant_id=snapshot.tenant_id) if call is not None else by_id}"
    differs = " has other parameters, and" if snapshot.kind == wanted.name else ""
    return OperationInProgressError(
        f"{operation.workflow_id} ({snapshot.kind}) on this tenant{differs} has not ended; "
        f"repeat the request once GET {links.self} shows its end{cancel}"
    )


def _log_missing_row(operation: OperationView, error: Exception) -> None:
    workflow_id = operation.workflow_id
    if isinstance(error, FinalError):
        log.warning("the operation's row was refused", workflow_id=workflow_id, code=error.code)
    else:
        log.warning("the operation has no row", workflow_id=workflow_id, error=type(error).__name__)
