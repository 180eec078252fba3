"""Interfering triggers on partitions, inheriting tables, updates that clear columns, and cascaded rows."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.activities.purge.small import THEIRS, build, purge, values
from tests.activities.purge.triggers.guarded import MODES

pytestmark = pytest.mark.anyio

OBJECT = "CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never changed'; END $$;"
CYCLE = """
    CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int);
    CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int NOT NULL REFERENCES a);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
    INSERT INTO a VALUES ({ours}, 1, NULL); INSERT INTO b VALUES ({ours}, 1, 1); UPDATE a SET b = 1;
"""


async def test_an_update_that_a_cut_needs_passes_a_forbidding_trigger(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        {cycle} {object}
        CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON a FOR EACH ROW EXECUTE FUNCTION object();
        """,
        object=OBJECT,
        cycle=CYCLE,
    )
    assert (await purge(empty)).deleted_rows == {"a": 1, "b": 1}
    assert await values(empty, MODES) == ["immutable O"]


@pytest.mark.parametrize("body", ["RETURN NULL", "NEW.b := OLD.b; RETURN NEW"])
async def test_an_update_that_a_cut_needs_is_not_suppressed(empty: AsyncConnection, body: str) -> None:
    await build(
        empty,
        """
        {cycle}
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;
        CREATE TRIGGER keeps BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION keep();
        """,
        body=body,
        cycle=CYCLE,
    )
    assert (await purge(empty)).deleted_rows == {"a": 1, "b": 1}
    assert await values(empty, MODES) == ["keeps O"]


async def test_partitions_are_guarded_by_the_trigger_of_the_whole(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        {object}
        CREATE TABLE a (tenant uuid, id int) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (10);
        CREATE TABLE a2 PARTITION OF a FOR VALUES FROM (10) TO (20);
        INSERT INTO a VALUES ({ours}, 1), ({theirs}, 1);
        CREATE TRIGGER immutable BEFORE DELETE ON a FOR EACH ROW EXECUTE FUNCTION object();
        ALTER TABLE a2 DISABLE TRIGGER immutable;
        ALTER TABLE a1 ENABLE ALWAYS TRIGGER immutable;
        """,
        object=OBJECT,
    )
    modes = await values(empty, MODES)
    await purge(empty)
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]
    assert await values(empty, MODES) == modes == ["immutable A", "immutable D", "immutable O"]


async def test_a_trigger_of_one_partition_alone_is_disabled_there(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        {object}
        CREATE TABLE a (tenant uuid, id int) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (10);
        INSERT INTO a VALUES ({ours}, 1), ({theirs}, 1);
        CREATE TRIGGER immutable BEFORE DELETE ON a1 FOR EACH ROW EXECUTE FUNCTION object();
        """,
        object=OBJECT,
    )
    report = await purge(empty)
    assert [str(trigger) for trigger in report.disabled_triggers] == ["immutable of public.a1"]
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]
    assert await values(empty, MODES) == ["immutable O"]


async def test_a_trigger_of_a_table_that_inherits_is_disabled(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        {object}
        CREATE TABLE a (tenant uuid);
        CREATE TABLE heir () INHERITS (a);
        INSERT INTO heir VALUES ({ours}), ({theirs});
        CREATE TRIGGER immutable BEFORE DELETE ON heir FOR EACH ROW EXECUTE FUNCTION object();
        """,
        object=OBJECT,
    )
    await purge(empty)
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]
    assert await values(empty, MODES) == ["immutable O"]


@pytest.mark.parametrize("each", ["ROW", "STATEMENT"])
async def test_a_trigger_on_cascaded_rows_is_disabled(empty: AsyncConnection, each: str) -> None:
    await build(
        empty,
        """
        {object}
        CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int NOT NULL);
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int NOT NULL);
        INSERT INTO a VALUES ({ours}, 1, 1), ({theirs}, 2, 2);
        INSERT INTO b VALUES ({ours}, 1, 1), ({theirs}, 2, 2);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a ON DELETE CASCADE;
        CREATE TRIGGER immutable BEFORE DELETE ON b FOR EACH {each} EXECUTE FUNCTION object();
        """,
        each=each,
        object=OBJECT,
    )
    await purge(empty)
    assert await values(empty, "SELECT tenant FROM a UNION ALL SELECT tenant FROM b") == [THEIRS, THEIRS]
    assert await values(empty, MODES) == ["immutable O"]
