"""A purge that would change rows outside the tenant is refused before it changes anything."""

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.errors import ForeignReferenceError
from tests.activities.purge.small import build, purge, values

pytestmark = pytest.mark.anyio


async def test_a_child_row_that_two_tenants_share_is_refused(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE rates (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE parts (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE mappings (rate int REFERENCES rates, part int REFERENCES parts);
        INSERT INTO rates VALUES ({ours}, 1), ({theirs}, 2);
        INSERT INTO parts VALUES ({theirs}, 2);
        INSERT INTO mappings VALUES (2, 2), (1, 2);
        """,
    )

    with pytest.raises(ForeignReferenceError) as caught:
        await purge(empty)

    assert caught.value.references == (("mappings", "mappings_part_fkey"),)


async def test_a_child_known_by_name_is_refused_if_two_tenants_have_that_id(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE rates (tenant uuid, rate_id uuid, PRIMARY KEY (tenant, rate_id));
        CREATE TABLE closings (id int PRIMARY KEY, rate_id uuid);
        INSERT INTO rates SELECT tenant, {ours} FROM (VALUES ({ours}::uuid), ({theirs}::uuid)) both_of (tenant);
        INSERT INTO closings VALUES (1, {ours});
        """,
    )

    with pytest.raises(ForeignReferenceError, match=r"closings by closings\.rate_id"):
        await purge(empty)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("owner", ["{theirs}", "NULL"])
async def test_a_row_outside_the_tenant_that_would_be_changed_stops_the_purge(
    empty: AsyncConnection, action: str, owner: str
) -> None:
    await build(
        empty,
        """
        CREATE TABLE clients (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE tickets (tenant uuid, client int, CONSTRAINT of_client FOREIGN KEY (client) REFERENCES clients
                              ON DELETE {action});
        INSERT INTO clients VALUES ({ours}, 1);
        INSERT INTO tickets VALUES ({owner}, 1), ({ours}, 1);
        """,
        action=action,
        owner=owner,
    )

    with pytest.raises(ForeignReferenceError, match="tickets by of_client") as caught:
        await purge(empty)

    assert caught.value.references == (("tickets", "of_client"),)
    assert await values(empty, "SELECT client FROM tickets") == [1, 1]


async def test_a_row_of_a_table_without_tenants_stops_the_purge(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE SCHEMA elsewhere;
        CREATE TABLE clients (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE elsewhere.notes (client int REFERENCES clients ON DELETE CASCADE);
        INSERT INTO clients VALUES ({ours}, 1);
        INSERT INTO elsewhere.notes VALUES (1);
        """,
    )

    with pytest.raises(ForeignReferenceError, match=r"elsewhere\.notes by notes_client_fkey"):
        await purge(empty)


async def test_a_key_from_the_tenants_own_rows_does_not_stop_the_purge(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE clients (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE tickets (tenant uuid, client int REFERENCES clients ON DELETE CASCADE);
        INSERT INTO clients VALUES ({ours}, 1), ({theirs}, 2);
        INSERT INTO tickets VALUES ({ours}, 1), ({theirs}, 2);
        """,
    )

    assert (await purge(empty)).deleted_rows == {"tickets": 1, "clients": 1}


async def test_a_neighbours_row_that_a_key_protects_makes_the_database_refuse(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE clients (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE tickets (tenant uuid, client int REFERENCES clients);
        INSERT INTO clients VALUES ({ours}, 1);
        INSERT INTO tickets VALUES ({theirs}, 1);
        """,
    )

    with pytest.raises(IntegrityError):
        await purge(empty)
