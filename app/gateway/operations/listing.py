"""Pages of operations, newest first."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.queries import OperationFilter, OperationRecord, list_operations
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.operations.documents import summary
from app.gateway.operations.schemas import OperationList

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
        if caller.tenant_id is not None:
            if wanted.tenant_id not in {None, caller.tenant_id}:
                return OperationList(operations=(), next_page_token=None)
            wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = _place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                records = await list_operations(connection, wanted, limit=size + 1, after=after)
        shown = records[:size]
        return OperationList(
            operations=tuple(summary(record) for record in shown),
            next_page_token=_token_of(shown[-1]) if len(records) > size else None,
        )


def _token_of(record: OperationRecord) -> str:
    microseconds = ((record.snapshot.started_at or EPOCH) - EPOCH) // MICROSECOND
    return f"{microseconds:016d}-{record.workflow_id.encode().hex()}-{record.run_id.encode().hex()}"


def _place_of(token: str) -> tuple[datetime, str, str]:
    microseconds, *ids = token.split("-")
    # A forged token may hold any bytes; PostgreSQL rejects NUL.
    workflow_id, run_id = (bytes.fromhex(text).decode(errors="replace").replace("\0", "") for text in ids)
    return EPOCH + int(microseconds) * MICROSECOND, workflow_id, run_id
