"""Purges of difficult schemas; each test creates its tables."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from activities.purge import purge as purge_module
from activities.purge.catalogue import read_catalogue
from activities.purge.errors import PurgeIncompleteError, TenantRefusedError
from activities.purge.purge import LOCK_TIMEOUT, TIMEOUTS, count_tenant_rows, purge_tenant
from tests.activities.purge.small import OURS, THEIRS, build, purge, sent_statements, values

pytestmark = pytest.mark.anyio


async def test_a_cut_empties_the_tenants_references_only(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, b int, PRIMARY KEY (tenant, id));
        CREATE TABLE b (tenant uuid, id int, a int, PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, a) REFERENCES a);
        INSERT INTO a VALUES ({ours}, 1, 1), ({theirs}, 1, 1);
        INSERT INTO b VALUES ({ours}, 1, 1), ({theirs}, 1, 1);
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b;
        """,
    )

    report = await purge(empty)

    assert report.deleted_rows == {"a": 1, "b": 1}
    assert await values(empty, "SELECT b FROM a") == await values(empty, "SELECT a FROM b") == [1]


async def test_a_cycle_with_an_empty_side_is_not_cut(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int);
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        INSERT INTO a VALUES ({ours}, 1, NULL);
        """,
    )
    statements = sent_statements(empty)

    await purge(empty)

    assert not [statement for statement in statements if statement.startswith("UPDATE")]


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT", "CASCADE"])
async def test_rows_that_reference_their_own_table_go_in_one_statement(empty: AsyncConnection, action: str) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, above int NOT NULL, PRIMARY KEY (tenant, id),
                        FOREIGN KEY (tenant, above) REFERENCES a ON DELETE {action});
        INSERT INTO a VALUES ({ours}, 1, 1), ({ours}, 2, 1), ({ours}, 3, 2), ({theirs}, 1, 1);
        """,
        action=action,
    )

    assert (await purge(empty)).deleted_rows == {"a": 3}
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]


@pytest.mark.parametrize("key", ["DEFERRABLE", "ON DELETE CASCADE"])
async def test_a_cycle_without_nullable_columns_is_purged(empty: AsyncConnection, key: str) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, b int NOT NULL, PRIMARY KEY (tenant, id));
        CREATE TABLE b (tenant uuid, id int, a int NOT NULL, PRIMARY KEY (tenant, id));
        INSERT INTO a VALUES ({ours}, 1, 1), ({theirs}, 1, 1);
        INSERT INTO b VALUES ({ours}, 1, 1), ({theirs}, 1, 1);
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b;
        ALTER TABLE b ADD FOREIGN KEY (tenant, a) REFERENCES a {key};
        """,
        key=key,
    )

    await purge(empty)

    assert await values(empty, "SELECT tenant FROM a UNION ALL SELECT tenant FROM b") == [THEIRS, THEIRS]


async def test_text_tenant_columns_and_quoted_names_are_purged(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE SCHEMA "Odd one";
        SET LOCAL search_path = "Odd one", public;
        CREATE TABLE "The ""Table" ("tenant_id" varchar(255));
        CREATE TABLE plain (tenant text);
        INSERT INTO "The ""Table" VALUES ({ours}), ({theirs}), (NULL);
        INSERT INTO plain VALUES ({ours}), ('global');
        """,
    )

    report = await purge(empty)

    assert list(report.deleted_rows.values()) == [1, 1]
    assert await values(empty, 'SELECT tenant_id FROM "The ""Table" ORDER BY 1') == [str(THEIRS), None]
    assert await values(empty, "SELECT tenant FROM plain") == ["global"]


async def test_a_tenant_id_column_beside_tenant_is_ignored(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE profiles (tenant uuid, tenant_id varchar);
        INSERT INTO profiles VALUES ({theirs}, {ours}), ({ours}, 'contoso');
        """,
    )

    assert (await purge(empty)).deleted_rows == {"profiles": 1}
    assert await values(empty, "SELECT tenant_id FROM profiles") == [str(OURS)]


async def test_rows_in_partitions_are_purged(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE events (tenant uuid, day int) PARTITION BY RANGE (day);
        CREATE TABLE early PARTITION OF events FOR VALUES FROM (0) TO (10);
        CREATE TABLE late PARTITION OF events FOR VALUES FROM (10) TO (20);
        INSERT INTO events VALUES ({ours}, 1), ({ours}, 11), ({theirs}, 1);
        """,
    )

    assert (await purge(empty)).deleted_rows == {"events": 2}
    assert await values(empty, "SELECT tenant FROM events") == [THEIRS]


async def test_the_child_of_a_child_is_purged(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE rates (tenant uuid, x int, y int, PRIMARY KEY (x, y));
        CREATE TABLE closings (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES rates);
        CREATE TABLE notes (id int PRIMARY KEY, holiday int REFERENCES closings);
        INSERT INTO rates VALUES ({ours}, 1, 1), ({theirs}, 1, 2);
        INSERT INTO closings VALUES (1, 1, 1), (2, 1, 2), (3, NULL, NULL);
        INSERT INTO notes VALUES (1, 1), (2, 2), (3, 3), (4, NULL);
        """,
    )

    assert (await purge(empty)).deleted_rows == {"notes": 1, "closings": 1, "rates": 1}
    assert await values(empty, "SELECT id FROM closings ORDER BY id") == [2, 3]
    assert await values(empty, "SELECT id FROM notes ORDER BY id") == [2, 3, 4]


WRITES_BACK = """
    CREATE TABLE log (tenant uuid);
    CREATE TABLE things (tenant uuid);
    CREATE FUNCTION write_back() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO log VALUES (OLD.tenant); RETURN NULL; END $$;
    CREATE TRIGGER back AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION write_back();
    INSERT INTO log VALUES ({ours}), ({theirs});
    INSERT INTO things VALUES ({ours}), ({theirs});
"""


async def test_a_row_that_a_trigger_writes_is_found_by_the_next_pass(empty: AsyncConnection) -> None:
    await build(empty, WRITES_BACK, table="things")

    report = await purge(empty)

    assert report.deleted_rows == {"log": 2, "things": 1}
    assert await values(empty, "SELECT tenant FROM log") == [THEIRS]


async def test_rows_that_keep_coming_back_are_an_error_that_counts_them(empty: AsyncConnection) -> None:
    await build(empty, WRITES_BACK, table="log")

    with pytest.raises(PurgeIncompleteError, match=r"log \(1\)") as caught:
        await purge(empty)

    assert caught.value.remaining == {"log": 1}
    assert str(OURS) not in str(caught.value)


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


@pytest.mark.parametrize("tenant_id", [None, UUID(int=0)])
async def test_without_a_tenant_nothing_is_done(empty: AsyncConnection, tenant_id: UUID | None) -> None:
    catalogue = await read_catalogue(empty)

    with pytest.raises(TenantRefusedError) as deleting:
        await purge_tenant(empty, catalogue, tenant_id, management_tenant_id=None)
    with pytest.raises(TenantRefusedError) as counting:
        await count_tenant_rows(empty, catalogue, tenant_id)

    assert deleting.value.code == counting.value.code == "tenant-id-missing"


async def test_the_management_tenant_is_refused_before_anything_is_deleted(empty: AsyncConnection) -> None:
    await build(empty, "CREATE TABLE a (tenant uuid); INSERT INTO a VALUES ({ours}), ({theirs})")
    catalogue = await read_catalogue(empty)

    with pytest.raises(TenantRefusedError, match="management tenant") as caught:
        await purge_tenant(empty, catalogue, OURS, management_tenant_id=OURS)

    assert caught.value.code == "management-tenant"
    assert await count_tenant_rows(empty, catalogue, OURS) == {"a": 1}
    await purge_tenant(empty, catalogue, OURS, management_tenant_id=THEIRS)
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]


async def test_a_name_that_looks_like_a_parameter_is_not_bound(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, b int NOT NULL, PRIMARY KEY (tenant, id));
        CREATE TABLE b (tenant uuid, id int, a int NOT NULL, PRIMARY KEY (tenant, id));
        INSERT INTO a VALUES ({ours}, 1, 1);
        INSERT INTO b VALUES ({ours}, 1, 1);
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b;
        ALTER TABLE b ADD CONSTRAINT "why :not" FOREIGN KEY (tenant, a) REFERENCES a DEFERRABLE;
        """,
    )

    assert (await purge(empty)).deleted_rows == {"a": 1, "b": 1}
