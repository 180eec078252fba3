"""Purges of difficult schemas; each test creates its tables."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import read_catalogue
from activities.purge.errors import PurgeIncompleteError, TenantRefusedError
from activities.purge.purge import count_tenant_rows, purge_tenant
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
