"""What a purge reports, leaves out, and waits for; each test creates its tables."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from activities.purge import purge as purge_module
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import LOCK_TIMEOUT, TIMEOUTS, count_tenant_rows, purge_tenant
from tests.activities.purge.small import OURS, build, purge, values

pytestmark = pytest.mark.anyio


async def test_progress_names_the_table_and_the_rows_deleted_before(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid);
        CREATE TABLE b (tenant uuid);
        INSERT INTO a VALUES ({ours}), ({ours});
        INSERT INTO b VALUES ({ours});
        """,
    )
    calls: list[tuple[str, int]] = []

    async def note(label: str, rows: int) -> None:
        calls.append((label, rows))

    await purge_tenant(empty, await read_catalogue(empty), OURS, management_tenant_id=None, on_progress=note)

    assert calls == [("a", 0), ("b", 2)]


async def test_a_purge_that_progress_ends_leaves_the_database_as_it_was(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        SET LOCAL statement_timeout = '9s';
        SET LOCAL lock_timeout = '7s';
        CREATE TABLE a (tenant uuid);
        CREATE TABLE b (tenant uuid);
        INSERT INTO a VALUES ({ours});
        INSERT INTO b VALUES ({ours});
        """,
    )
    catalogue = await read_catalogue(empty)

    async def stop(label: str, _rows: int) -> None:
        if label == "b":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await purge_tenant(empty, catalogue, OURS, management_tenant_id=None, on_progress=stop)

    assert await count_tenant_rows(empty, catalogue, OURS) == {"a": 1, "b": 1}
    assert await timeouts(empty) == ("9s", "7s")


async def test_statements_of_a_purge_take_their_time_but_do_not_wait_long_for_locks(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        SET LOCAL statement_timeout = '9s';
        SET LOCAL lock_timeout = '7s';
        CREATE TABLE a (tenant uuid);
        INSERT INTO a VALUES ({ours});
        """,
    )
    within: list[tuple[str, str]] = []

    async def note(_label: str, _rows: int) -> None:
        within.append(await timeouts(empty))

    await purge_tenant(empty, await read_catalogue(empty), OURS, management_tenant_id=None, on_progress=note)

    assert within == [("0", LOCK_TIMEOUT)]
    assert await timeouts(empty) == ("9s", "7s")


async def timeouts(connection: AsyncConnection) -> tuple[str, str]:
    row = (await connection.execute(TIMEOUTS)).one()
    return row.statement, row.lock


@pytest.mark.parametrize(
    ("key", "stays"),
    [("", True), ("REFERENCES tenants", False), ("REFERENCES tenants ON DELETE CASCADE", False)],
    ids=["no key", "key", "cascading key"],
)
async def test_a_table_to_be_kept_is_left_out_unless_a_foreign_key_ties_it_to_the_tenant(
    empty: AsyncConnection, key: str, *, stays: bool
) -> None:
    await build(
        empty,
        """
        CREATE TABLE tenants (tenant uuid PRIMARY KEY);
        CREATE TABLE deletions (tenant uuid {key}, before int, id int PRIMARY KEY,
                                FOREIGN KEY (before) REFERENCES deletions);
        CREATE TABLE tickets (tenant uuid);
        INSERT INTO tenants VALUES ({ours}), ({theirs});
        INSERT INTO deletions VALUES ({ours}, 1, 1), ({theirs}, 2, 2);
        INSERT INTO tickets VALUES ({ours});
        """,
        key=key,
    )
    catalogue = (await read_catalogue(empty)).keeping("deletions", "missing")

    report = await purge_tenant(empty, catalogue, OURS, management_tenant_id=None)

    assert report.kept_tables == (("deletions",) if stays else ())
    assert report.proven_tables == (2 if stays else 3)
    purged = {"tickets": 1, "tenants": 1} if stays else {"deletions": 1, "tickets": 1, "tenants": 1}
    assert report.deleted_rows == purged
    assert await count_tenant_rows(empty, catalogue, OURS) == {}
    assert await values(empty, "SELECT id FROM deletions ORDER BY 1") == ([1, 2] if stays else [2])


async def test_rows_that_cascades_and_triggers_delete_are_counted(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid NOT NULL, id int PRIMARY KEY, b int NOT NULL);
        CREATE TABLE b (tenant uuid NOT NULL, id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE CASCADE);
        INSERT INTO a VALUES ({ours}, 1, 1), ({ours}, 2, 1), ({theirs}, 3, 3);
        INSERT INTO b VALUES ({ours}, 1, 1), ({theirs}, 3, 3);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE;
        CREATE TABLE lines (tenant uuid, ticket int);
        CREATE TABLE aside (tenant uuid, ticket int);
        CREATE FUNCTION clean() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM lines WHERE ticket = OLD.ticket; RETURN NULL; END $$;
        CREATE TRIGGER cleans AFTER DELETE ON aside FOR EACH ROW EXECUTE FUNCTION clean();
        INSERT INTO lines VALUES ({ours}, 1), ({ours}, 1), ({ours}, 2), ({theirs}, 3);
        INSERT INTO aside VALUES ({ours}, 1), ({theirs}, 3);
        """,
    )
    before = await count_tenant_rows(empty, await read_catalogue(empty), OURS)

    report = await purge(empty)

    assert report.deleted_rows == before == {"a": 2, "b": 1, "lines": 3, "aside": 1}
    assert await values(empty, "SELECT count(*) FROM a, b, lines, aside") == [1]


async def test_the_count_leaves_out_other_tenants_and_empty_tables(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid);
        CREATE TABLE b (tenant uuid);
        INSERT INTO a VALUES ({ours}), ({ours}), ({theirs});
        INSERT INTO b VALUES ({theirs}), (NULL);
        """,
    )

    assert await count_tenant_rows(empty, await read_catalogue(empty), OURS) == {"a": 2}


@pytest.mark.parametrize(
    ("index", "is_slow"),
    [
        ("note", True),
        ("tenant, note, ticket", True),
        ("note, ticket", True),
        ("ticket) WHERE (note > 1", True),
        ("ticket", False),
        ("tenant, ticket, note", False),
        ("ticket, tenant", False),
        ("ticket) WHERE (ticket IS NOT NULL", False),
    ],
)
async def test_a_key_without_an_index_is_named_before_it_makes_a_purge_slow(
    empty: AsyncConnection, monkeypatch: pytest.MonkeyPatch, index: str, *, is_slow: bool
) -> None:
    monkeypatch.setattr(purge_module, "MANY_PAIRS", 5)
    await build(
        empty,
        """
        CREATE TABLE tickets (tenant uuid, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE comments (tenant uuid, ticket int, note int, CONSTRAINT of_ticket FOREIGN KEY (tenant, ticket)
                               REFERENCES tickets);
        CREATE INDEX ON comments ({index});
        INSERT INTO tickets VALUES ({ours}, 1), ({ours}, 2);
        INSERT INTO comments VALUES ({ours}, 1), ({ours}, 1), ({ours}, 2);
        """,
        index=index,
    )

    with capture_logs() as lines:
        await purge(empty)

    warned = {"key": "of_ticket", "table": "comments", "columns": ("tenant", "ticket"), "rows": 3}
    assert [{name: line[name] for name in warned} for line in lines] == ([warned] if is_slow else [])
