"""Page tokens of lists that are ordered by a time and an id."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from activities.alga.across_tenants import Place

# Microseconds since year 1, and the id of the last entry on a page. Every token of this form is valid.
PLACE_TOKEN = r"^[0-2][0-9]{17}-[0-9a-f]{32}$"  # noqa: S105 - a pattern

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def token_of(place: Place) -> str:
    """Return the token of the page that follows the place."""
    return f"{(place.at - YEAR_ONE) // MICROSECOND:018d}-{place.id.hex}"


def place_of(token: str) -> Place:
    """Return the place that the token names."""
    microseconds, _, id_ = token.partition("-")
    return Place(YEAR_ONE + int(microseconds) * MICROSECOND, UUID(id_))
