"""Catalogues of structures that Alga's schema does not have, or not on every database."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import Catalogue, CatalogueError, CutKind, read_catalogue
from tests.activities.purge.conftest import run_script

pytestmark = pytest.mark.anyio


async def catalogue_of(connection: AsyncConnection, script: str) -> Catalogue:
    await run_script(connection, script)
    return await read_catalogue(connection)


def cuts_of(catalogue: Catalogue) -> list[tuple[str, CutKind, tuple[str, ...]]]:
    return [(cut.key.child, cut.kind, cut.key.clearable) for cut in catalogue.deletion_plan().cuts]


async def test_a_cycle_is_cut_at_its_only_nullable_column(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, b int NOT NULL, PRIMARY KEY (tenant, id));
        CREATE TABLE b (tenant uuid, id int, a int, PRIMARY KEY (tenant, id),
                        FOREIGN KEY (tenant, a) REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b;
        """,
    )

    assert cuts_of(catalogue) == [("b", CutKind.CLEAR, ("a",))]


async def test_a_column_with_a_check_is_cut_last(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int, b int, other int, PRIMARY KEY (tenant, id),
                        CHECK ((b IS NULL) <> (other IS NULL)));
        CREATE TABLE b (tenant uuid, id int, a int, PRIMARY KEY (tenant, id),
                        FOREIGN KEY (tenant, a) REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b;
        """,
    )

    assert cuts_of(catalogue) == [("b", CutKind.CLEAR, ("a",))]


async def test_the_tenant_column_is_never_cleared(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int NOT NULL, b int NOT NULL, UNIQUE (tenant, id));
        CREATE TABLE b (tenant uuid, id int NOT NULL, a int NOT NULL, UNIQUE (tenant, id),
                        FOREIGN KEY (tenant, a) REFERENCES a (tenant, id));
        ALTER TABLE a ADD FOREIGN KEY (tenant, b) REFERENCES b (tenant, id);
        """,
    )

    with pytest.raises(CatalogueError):
        catalogue.deletion_plan()


async def test_all_columns_of_a_match_full_key_are_cleared_together(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE a (tenant uuid, x int, y int, b int NOT NULL, PRIMARY KEY (x, y));
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, ax int, ay int,
                        FOREIGN KEY (ax, ay) REFERENCES a MATCH FULL);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        """,
    )

    assert cuts_of(catalogue) == [("b", CutKind.CLEAR, ("ax", "ay"))]


async def test_a_cycle_without_nullable_columns_is_deferred_or_left_to_cascade(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int NOT NULL);
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int NOT NULL REFERENCES a DEFERRABLE);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        CREATE TABLE c (tenant uuid, id int PRIMARY KEY, d int NOT NULL);
        CREATE TABLE d (tenant uuid, id int PRIMARY KEY, c int NOT NULL REFERENCES c ON DELETE CASCADE);
        ALTER TABLE c ADD FOREIGN KEY (d) REFERENCES d;
        """,
    )

    assert cuts_of(catalogue) == [("b", CutKind.DEFER, ()), ("d", CutKind.CASCADE, ())]


async def test_a_cycle_that_can_not_be_cut_is_an_error_that_names_the_tables(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE alpha (tenant uuid, id int PRIMARY KEY, beta int NOT NULL);
        CREATE TABLE beta (tenant uuid, id int PRIMARY KEY, alpha int NOT NULL REFERENCES alpha ON DELETE RESTRICT);
        ALTER TABLE alpha ADD FOREIGN KEY (beta) REFERENCES beta;
        """,
    )

    with pytest.raises(CatalogueError, match="alpha, beta"):
        catalogue.deletion_plan()


async def test_a_key_that_determines_row_ownership_is_never_cut(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE owner (tenant uuid, id int PRIMARY KEY, favourite int);
        CREATE TABLE hanging (id int PRIMARY KEY, owner int REFERENCES owner);
        ALTER TABLE owner ADD FOREIGN KEY (favourite) REFERENCES hanging;
        """,
    )

    assert cuts_of(catalogue) == [("owner", CutKind.CLEAR, ("favourite",))]


async def test_a_partitioned_table_counts_once_and_owns_its_partitions_keys(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE parent (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE events (tenant uuid, day date, parent int REFERENCES parent, other int) PARTITION BY RANGE (day);
        CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        ALTER TABLE events_2026 ADD FOREIGN KEY (other) REFERENCES parent;
        CREATE VIEW shown AS SELECT tenant FROM parent;
        """,
    )

    assert [table.label for table in catalogue.tenant_tables] == ["events", "parent"]
    assert {(key.child, key.columns) for key in catalogue.foreign_keys} == {
        ("events", ("parent",)),
        ("events", ("other",)),
    }


async def test_only_schemas_on_the_search_path_are_read_and_ours_never(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE SCHEMA alga_tenants;
        CREATE SCHEMA "More";
        CREATE SCHEMA elsewhere;
        CREATE TABLE alga_tenants.operations (tenant_id uuid);
        CREATE TABLE "More"."Things" (tenant uuid);
        CREATE TABLE elsewhere.things (tenant uuid);
        CREATE TABLE things (tenant uuid);
        CREATE TABLE "More".things (tenant uuid);
        SET LOCAL search_path = public, alga_tenants, "More";
        """,
    )

    assert {(table.schema, table.name) for table in catalogue.tenant_tables} == {
        ("More", "Things"),
        ("More", "things"),
        ("public", "things"),
    }


async def test_a_tenant_column_that_can_not_hold_an_id_is_an_error(empty: AsyncConnection) -> None:
    with pytest.raises(CatalogueError, match="column tenant of table odd is of type int4"):
        await catalogue_of(empty, "CREATE TABLE odd (tenant int)")


async def test_a_column_name_makes_a_child_only_if_it_matches_one_table(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE rates (tenant uuid, rate_id uuid, PRIMARY KEY (tenant, rate_id));
        CREATE TABLE plans (tenant uuid, item_id uuid, PRIMARY KEY (tenant, item_id));
        CREATE TABLE goods (tenant uuid, item_id uuid, PRIMARY KEY (tenant, item_id));
        CREATE TABLE holidays (holiday_id uuid PRIMARY KEY, rate_id uuid);
        CREATE TABLE standard_rates (rate_id uuid PRIMARY KEY);
        CREATE TABLE standard_items (id uuid PRIMARY KEY, item_id uuid);
        CREATE TABLE numbered (id uuid PRIMARY KEY, rate_id int);
        """,
    )

    assert list(catalogue.child_tables) == ["holidays"]


async def test_a_row_whose_reference_is_only_cleared_is_no_child(empty: AsyncConnection) -> None:
    catalogue = await catalogue_of(
        empty,
        """
        CREATE TABLE users (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE articles (id int PRIMARY KEY, edited_by int REFERENCES users ON DELETE SET NULL);
        """,
    )

    assert catalogue.child_tables == {}
