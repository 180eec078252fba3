"""Every change of the audit trail without the key is found, with its place."""

from itertools import product
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail, Head
from activities.database.own_tables import audit_events
from app.audit.verification import BreakKind, Report
from tests.activities.audit.audited import OTHER_TRAIL, Tampering, append, event, verified

pytestmark = pytest.mark.anyio

LENGTH = 7
COLUMNS = tuple(audit_events.c.keys())
NULLABLE = tuple(column.name for column in audit_events.c if column.nullable)


@pytest.fixture
async def tampering(audit_engine: AsyncEngine, audit_database: asyncpg.Connection) -> Tampering:
    """Access to a trail of seven events."""
    await append(audit_engine, *(event(number) for number in range(1, LENGTH + 1)))
    tampering = Tampering(audit_database)
    await tampering.begin()
    assert (await verified(audit_engine)).is_intact
    return tampering


def recorded(report: Report) -> list[tuple[BreakKind, int]]:
    return [(found.kind, found.sequence) for found in report.breaks]


async def test_a_change_of_any_column_of_any_event_is_found_at_its_place(
    tampering: Tampering, audit_engine: AsyncEngine
) -> None:
    for column, sequence in product(COLUMNS, range(1, LENGTH + 1)):
        await tampering.change(column, sequence)
        report = await verified(audit_engine)
        kind = BreakKind.CHANGED
        if column == "sequence":
            kind = BreakKind.MISSING if sequence < LENGTH else BreakKind.CUT
        assert (kind, sequence) in recorded(report), column
        await tampering.restore()
    assert (await verified(audit_engine)).is_intact


async def test_a_value_that_was_removed_is_found(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    for column in NULLABLE:
        await tampering.empty(column, 3)
        assert recorded(await verified(audit_engine)) == [(BreakKind.CHANGED, 3)], column
        await tampering.restore()
    assert (await verified(audit_engine)).is_intact


@pytest.mark.parametrize(("first", "last"), [(1, 1), (4, 4), (2, 5)])
async def test_events_that_were_deleted_before_others_are_reported_missing(
    tampering: Tampering, audit_engine: AsyncEngine, first: int, last: int
) -> None:
    await tampering.delete(first, last)
    report = await verified(audit_engine)
    assert recorded(report) == [(BreakKind.MISSING, first)]
    assert f"{last - first + 1} events" in report.breaks[0].detail


async def test_deleted_last_events_are_detected_by_the_head(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    await tampering.delete(6, LENGTH)
    assert recorded(await verified(audit_engine)) == [(BreakKind.CUT, 6)]


async def test_the_deletion_of_all_events_is_detected_by_the_head(
    tampering: Tampering, audit_engine: AsyncEngine
) -> None:
    await tampering.delete(1, LENGTH)
    assert recorded(await verified(audit_engine)) == [(BreakKind.CUT, 1)]


async def test_a_deletion_whose_gap_was_closed_is_found(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    await tampering.delete(4, 4)
    await tampering.run("UPDATE alga_tenants.audit_events SET sequence = sequence - 1 WHERE sequence > 4")
    assert (BreakKind.MOVED, 4) in recorded(await verified(audit_engine))


async def test_events_that_changed_places_are_reported_as_moved(
    tampering: Tampering, audit_engine: AsyncEngine
) -> None:
    await tampering.swap(2, 5)
    assert recorded(await verified(audit_engine)) == [(BreakKind.MOVED, 2), (BreakKind.MOVED, 5)]


@pytest.mark.parametrize(("place", "kind"), [(8, BreakKind.SURPLUS), (0, BreakKind.SURPLUS), (4, BreakKind.SURPLUS)])
async def test_an_inserted_event_is_found(
    tampering: Tampering, audit_engine: AsyncEngine, place: int, kind: BreakKind
) -> None:
    await tampering.copy(4, place)
    assert (kind, place) in recorded(await verified(audit_engine))


async def test_an_event_of_another_trail_with_the_same_key_is_unlinked(
    tampering: Tampering, audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    earlier = await audit_database.fetchrow("SELECT * FROM alga_tenants.audit_head")
    await append(audit_engine, event(8), event(9))
    old = await audit_database.fetchrow("SELECT * FROM alga_tenants.audit_events WHERE sequence = 8")
    await tampering.delete(8, 9)
    await tampering.run(
        "UPDATE alga_tenants.audit_head SET sequence = $1, hash = $2, seal = $3",
        *(earlier[name] for name in ("sequence", "hash", "seal")),
    )
    await append(audit_engine, event(18), event(19))
    await tampering.delete(8, 8)
    places = ", ".join(f"${number}" for number in range(1, len(old) + 1))
    await tampering.run(f"INSERT INTO alga_tenants.audit_events VALUES ({places})", *old.values())  # noqa: S608
    assert recorded(await verified(audit_engine)) == [(BreakKind.UNLINKED, 9)]


async def test_hashes_that_were_made_without_the_key_are_invalid(
    tampering: Tampering, audit_engine: AsyncEngine
) -> None:
    await tampering.change("caller", 3)
    for sequence in range(3, LENGTH + 1):
        await tampering.rehash(sequence)
    assert recorded(await verified(audit_engine))[0] == (BreakKind.CHANGED, 3)


@pytest.mark.parametrize(
    "forgery",
    [
        "sequence = sequence - 1",
        "sequence = sequence + 1",
        "hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
        "seal = set_byte(seal, 0, get_byte(seal, 0) # 1)",
        "seal = NULL",
        "sequence = 0, hash = decode(repeat('00', 32), 'hex'), seal = NULL",
    ],
)
async def test_a_forged_head_is_found_and_reported_for_ever(
    tampering: Tampering, audit_engine: AsyncEngine, forgery: str
) -> None:
    await tampering.run(f"UPDATE alga_tenants.audit_head SET {forgery}")  # noqa: S608 - named above
    assert BreakKind.HEAD in {kind for kind, _ in recorded(await verified(audit_engine))}
    await append(audit_engine, event(8))
    assert (BreakKind.HEAD, LENGTH + 1) in recorded(await verified(audit_engine))


@pytest.mark.parametrize("place", [LENGTH + 1, LENGTH + 50])
async def test_an_event_inserted_after_the_last_one_is_found_and_does_not_block_writers(
    tampering: Tampering, audit_engine: AsyncEngine, place: int
) -> None:
    await tampering.copy(4, place)
    await append(audit_engine, event(8), event(9))
    report = await verified(audit_engine)
    assert report.sequence == place + 3
    assert place in {found for _, found in recorded(report)}
    assert (BreakKind.HEAD, place + 1) in recorded(report)


async def test_a_cut_with_a_forged_head_is_found(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    await tampering.delete(5, LENGTH)
    (last, *_), _ = await tampering.rows()
    last = (await tampering.rows())[0][-1]
    seal = OTHER_TRAIL.seal_of(4, last["hash"])
    await tampering.run("UPDATE alga_tenants.audit_head SET sequence = 4, hash = $1, seal = $2", last["hash"], seal)
    assert recorded(await verified(audit_engine)) == [(BreakKind.HEAD, 4)]


async def test_a_lost_head_is_found_and_the_chain_continues(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    await tampering.run("DELETE FROM alga_tenants.audit_head")
    assert recorded(await verified(audit_engine)) == [(BreakKind.HEAD, LENGTH)]
    await append(audit_engine, event(8))
    report = await verified(audit_engine)
    assert (recorded(report), report.sequence) == ([(BreakKind.HEAD, LENGTH + 1)], LENGTH + 2)


async def test_a_restored_older_state_is_detected_only_by_a_noted_head(
    tampering: Tampering, audit_engine: AsyncEngine
) -> None:
    await append(audit_engine, event(8), event(9))
    later = await verified(audit_engine)
    await tampering.restore()
    assert (await verified(audit_engine)).is_intact, "the limit of what the database alone can show"
    noted = Head(later.sequence, later.hash)
    assert recorded(await verified(audit_engine, noted)) == [(BreakKind.NOTED, LENGTH + 2)]
    await append(audit_engine, event(18), event(19))
    assert recorded(await verified(audit_engine, noted)) == [(BreakKind.NOTED, LENGTH + 2)]


async def test_a_noted_head_remains_valid_as_the_trail_grows(audit_engine: AsyncEngine) -> None:
    await append(audit_engine, event(1))
    report = await verified(audit_engine)
    await append(audit_engine, event(2))
    assert (await verified(audit_engine, Head(report.sequence, report.hash))).is_intact


async def test_with_another_key_every_event_is_invalid(tampering: Tampering, audit_engine: AsyncEngine) -> None:
    assert not await _intact_with(audit_engine, OTHER_TRAIL)
    assert tampering.database is not None


async def test_the_number_of_reported_breaks_is_limited(audit_engine: AsyncEngine) -> None:
    async with audit_engine.begin() as connection:
        await OTHER_TRAIL.append(connection, *map(event, range(50)))
    report = await verified(audit_engine)
    assert (len(report.breaks), report.is_complete, report.is_intact) == (20, False, False)


async def _intact_with(engine: AsyncEngine, trail: AuditTrail) -> bool:
    return (await verified(engine, trail=trail)).is_intact


SEQUENCES = st.integers(1, LENGTH)
DEEDS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(COLUMNS), SEQUENCES),
    st.tuples(st.just("empty"), st.sampled_from(NULLABLE), SEQUENCES),
    st.tuples(st.just("delete"), SEQUENCES, SEQUENCES),
    st.tuples(st.just("swap"), SEQUENCES, SEQUENCES),
    st.tuples(st.just("copy"), SEQUENCES, st.integers(-1, LENGTH + 2)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(DEEDS, min_size=1, max_size=4))
async def test_only_an_unchanged_trail_is_intact(
    tampering: Tampering, audit_engine: AsyncEngine, deeds: list[tuple[Any, ...]]
) -> None:
    await tampering.restore()
    original = await tampering.rows()
    for name, *arguments in deeds:
        await getattr(tampering, name)(*arguments)
    is_original = await tampering.rows() == original
    assert (await verified(audit_engine)).is_intact == is_original
