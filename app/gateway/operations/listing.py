"""Pages of operations, newest first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.records import OperationFilter, OperationRecord, list_operations
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.operations.documents import summary
from app.gateway.operations.schemas import OperationList

# Microseconds since 1970, workflow id and run id of the last operation on a page, the ids in hexadecimal. Every
# text of this form is a place in the list, so that no token needs a second check.
PAGE_TOKEN = r"^[0-9]{16}-([0-9a-f]{2})+-([0-9a-f]{2})*$"  # noqa: S105 - a pattern
LONGEST_PAGE_TOKEN = 4096

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Place = tuple[datetime, str, str]


class Listing:
    """Reads pages of the `operations` table."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Caller, wanted: OperationFilter, *, size: int, token: str | None) -> OperationList:
        """The page that the token leads to, or the first one; raises `DatabaseUnavailableError`.

        A caller that is bound to a tenant sees that one's operations alone.
        """
        if caller.tenant_id is not None:
            if wanted.tenant_id not in {None, caller.tenant_id}:
                return OperationList(operations=(), next_page_token=None)
            wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = place_of(token) if token is not None else None
        with database_errors():
            async with self._engine.connect() as connection:
                records = await list_operations(connection, wanted, limit=size + 1, after=after)
        shown = records[:size]
        return OperationList(
            operations=tuple(summary(record) for record in shown),
            next_page_token=token_of(shown[-1]) if len(records) > size else None,
        )


def token_of(record: OperationRecord) -> str:
    """The token of what follows the operation."""
    started_at = record.snapshot.started_at or EPOCH
    return f"{(started_at - EPOCH) // MICROSECOND:016d}-{_hex(record.workflow_id)}-{_hex(record.run_id)}"


def place_of(token: str) -> Place:
    """The place that a token of the right form stands for."""
    microseconds, workflow_id, run_id = token.split("-")
    return EPOCH + int(microseconds) * MICROSECOND, _text(workflow_id), _text(run_id)


def _hex(text: str) -> str:
    return text.encode().hex()


def _text(hexadecimal: str) -> str:
    # A made-up token may hold anything; PostgreSQL takes no NUL.
    return bytes.fromhex(hexadecimal).decode(errors="replace").replace("\0", "")
