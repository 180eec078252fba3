"""Which of the tables that a product change adds to are there, because not every version of Alga has all."""

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.psa_tables import PRODUCT_TABLES
from activities.database.live_columns import read_columns
from activities.product_changes.plan import PRODUCT_CHANGE_INCOMPLETE, Plan
from workflows.operations.messages import OperationWarning


class LiveTables:
    """The columns of the tables that exist."""

    def __init__(self, columns: frozenset[str]) -> None:
        self._columns = columns

    @classmethod
    async def read(cls, connection: AsyncConnection) -> "LiveTables":
        """Read the columns from the catalogue."""
        return cls(await read_columns(connection, [table.name for table in PRODUCT_TABLES]))

    def has(self, plan: Plan, left_out: str, *tables: Table) -> bool:
        """Return whether the tables have all columns that we use; else warn of what is left out."""
        missing = [
            f"{table.name}.{column.name}"
            for table in tables
            for column in table.columns
            if f"{table.name}.{column.name}" not in self._columns
        ]
        if missing:
            detail = (
                f"this version of Alga has no {missing[0]}, so {left_out}; add that in Alga once it has been upgraded"
            )
            plan.warnings.append(OperationWarning(code=PRODUCT_CHANGE_INCOMPLETE, detail=detail))
        return not missing
