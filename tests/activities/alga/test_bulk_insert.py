from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from activities.alga.bulk_insert import MUST_BE_NEW, TableRows, insert_statement
from activities.alga.tables import tenants as alga_tenants
from activities.database.errors import classify, is_unique_violation
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.inserting import insert

pytestmark = pytest.mark.anyio

things = Table(
    "things",
    MetaData(),
    Column("tenant", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("words", Text),
    Column("name", String(40), nullable=False),
    Column("count", Integer),
    Column("flag", Boolean),
    Column("rate", Numeric(10, 4)),
    Column("day", Date),
    Column("document", JSONB),
    Column("old_document", JSON),
    Column("given", Text, server_default="by default"),
)


def of_things(*rows: dict[str, Any]) -> TableRows:
    return TableRows.of(things, rows)


def row(name: str) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "words": 'with "quotes", \\ and \u00e9',
        "name": name,
        "count": 7,
        "flag": True,
        "rate": "12.5",
        "day": "2026-01-02",
        "document": {"list": [1, None]},
        "old_document": ["a"],
    }


async def test_rows_of_every_type_are_inserted_once(new_database: NewDatabase) -> None:
    tenant_id = uuid4()
    rows = [row("one"), row("two"), {**row("three"), "words": None, "document": None}]
    async with connected(new_database()) as connection:
        await connection.run_sync(things.create)
        assert await insert(connection, tenant_id, of_things(*rows)) == 3
        assert await insert(connection, tenant_id, of_things(*rows, row("four"))) == 1
        stored = (await connection.execute(things.select().where(things.c.name == "one"))).one()
        assert (stored.tenant, stored.id, stored.given) == (tenant_id, rows[0]["id"], "by default")
        assert stored.words == rows[0]["words"]
        assert (str(stored.rate), str(stored.day)) == ("12.5000", "2026-01-02")
        assert (stored.document, stored.old_document) == ({"list": [1, None]}, ["a"])
        count = await connection.scalar(text("SELECT count(*) FROM things WHERE words IS NULL"))
        assert count == 1


async def test_values_of_python_and_of_json_are_stored_alike(new_database: NewDatabase) -> None:
    native = {**row("native"), "rate": Decimal("0.0001"), "day": date(2026, 1, 2), "document": ["a", 1.5, None]}
    async with connected(new_database()) as connection:
        await connection.run_sync(things.create)
        await insert(connection, uuid4(), of_things(native))
        stored = (await connection.execute(things.select())).one()
    assert (stored.rate, stored.day) == (native["rate"], native["day"])
    assert stored.document == native["document"]


async def test_the_same_id_may_be_taken_by_another_tenant(new_database: NewDatabase) -> None:
    shared = row("shared")
    async with connected(new_database()) as connection:
        await connection.run_sync(things.create)
        assert [await insert(connection, uuid4(), of_things(shared)) for _ in range(2)] == [1, 1]


async def test_a_value_that_is_too_long_is_refused_and_not_cut(new_database: NewDatabase) -> None:
    async with connected(new_database()) as connection:
        await connection.run_sync(things.create)
        with pytest.raises(DBAPIError) as caught:
            async with connection.begin_nested():
                await insert(connection, uuid4(), of_things(row("n" * 41)))
        diagnosis = classify(caught.value)
        assert diagnosis is not None
        assert "SQLSTATE 22001" in diagnosis.detail


def test_a_value_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        of_things({**row("odd"), "document": {"set": {1, 2}}})


async def test_a_tenant_that_is_there_is_not_left_out(new_database: NewDatabase) -> None:
    assert alga_tenants.info[MUST_BE_NEW]
    columns = (Column("tenant", Uuid, primary_key=True), Column("name", Text))
    tenants = Table("tenants", MetaData(), *columns, info=alga_tenants.info)
    tenant_id, rows = uuid4(), TableRows.of(tenants, [{"name": "Acme"}])
    async with connected(new_database()) as connection:
        await connection.run_sync(tenants.create)
        await insert(connection, tenant_id, rows)
        with pytest.raises(DBAPIError) as caught:
            await insert(connection, tenant_id, rows)
    assert is_unique_violation(caught.value, tenants)
    assert not is_unique_violation(caught.value, things)


def test_rows_of_different_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in their columns"):
        of_things(row("one"), {"id": uuid4()})


def test_a_statement_names_no_conflict_target() -> None:
    statement = insert_statement(UUID(int=1), of_things(row("one")))
    assert str(statement.clause).endswith("ON CONFLICT DO NOTHING")
