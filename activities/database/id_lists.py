"""Lists of ids as parameters of statements that are built once for each length.

SQLAlchemy would expand a list anew in each execution: for a page of tenants, that takes three times as long as the
database (measured with SQLAlchemy 2.1). An array can't be bound on Citus 13.0.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import BindParameter, Uuid, bindparam


def id_parameters(number: int) -> list[BindParameter[UUID]]:
    """Return the parameters for so many ids."""
    return [bindparam(f"id_{position}", type_=Uuid) for position in range(number)]


def id_values(ids: Iterable[UUID]) -> dict[str, UUID]:
    """Return the values of the parameters."""
    return {f"id_{position}": id_ for position, id_ in enumerate(ids)}
