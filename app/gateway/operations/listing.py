"""Pages of operations, newest first."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.queries import OperationFilter, OperationRecord, count_operations, list_operations
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.operations.documents import summary
from app.gateway.operations.schemas import OperationCounts, OperationList
from workflows.operations.statuses import OperationStatus

# Microseconds since 1970, workflow id and run id of the last operation on a page, the ids in hexadecimal. Every token
# of this form is valid.
PAGE_TOKEN = r"^[0-9]{16}-([0-9a-f]{2})+-([0-9a-f]{2})*$"  # noqa: S105 - a pattern
MAX_PAGE_TOKEN_LENGTH = 4096

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, repr=False)
class Listing:
    """Reads pages of the `operations` table."""

    engine: AsyncEngine

    async def page(self, caller: Caller, wanted: OperationFilter, *, size: int, token: str | None) -> OperationList:
        """Return the page of the token, or the first one; raise `DatabaseUnavailableError`.

        A caller that is bound to a tenant sees only the operations of that tenant.
        """
        visible = _visible(caller, wanted)
        if visible is None:
            return OperationList(operations=(), next_page_token=None)
        after = _place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                records = await list_operations(connection, visible, limit=size + 1, after=after)
        shown = records[:size]
        return OperationList(
            operations=tuple(summary(record) for record in shown),
            next_page_token=_token_of(shown[-1]) if len(records) > size else None,
        )

    async def counts(self, caller: Caller, wanted: OperationFilter) -> OperationCounts:
        """Count the operations that match, by status; raise `DatabaseUnavailableError`."""
        visible, counts = _visible(caller, wanted), dict[str, int]()
        if visible is not None:
            with database_errors():
                async with self.engine.connect() as connection:
                    counts = await count_operations(connection, visible)
        by_status = {status.value: 0 for status in wanted.statuses or OperationStatus} | counts
        return OperationCounts(total=sum(by_status.values()), by_status=by_status)


def _visible(caller: Caller, wanted: OperationFilter) -> OperationFilter | None:
    """Return the filter for what the caller may see, or None if that is nothing."""
    if caller.tenant_id is None:
        return wanted
    return replace(wanted, tenant_id=caller.tenant_id) if wanted.tenant_id in {None, caller.tenant_id} else None


def _token_of(record: OperationRecord) -> str:
    microseconds = ((record.snapshot.started_at or EPOCH) - EPOCH) // MICROSECOND
    return f"{microseconds:016d}-{record.workflow_id.encode().hex()}-{record.run_id.encode().hex()}"


def _place_of(token: str) -> tuple[datetime, str, str]:
    microseconds, *ids = token.split("-")
    # A forged token may hold any bytes; PostgreSQL rejects NUL.
    workflow_id, run_id = (bytes.fromhex(text).decode(errors="replace").replace("\0", "") for text in ids)
    return EPOCH + int(microseconds) * MICROSECOND, workflow_id, run_id
