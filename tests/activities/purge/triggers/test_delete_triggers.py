"""Purges of tables with interfering triggers; each test creates its table and trigger."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.errors import PurgeIncompleteError
from tests.activities.purge.conftest import run_script
from tests.activities.purge.small import THEIRS, build, purge, sent_statements, values
from tests.activities.purge.triggers.guarded import MODES, guard

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("each", ["FOR EACH ROW", "FOR EACH STATEMENT"])
@pytest.mark.parametrize("when", ["BEFORE DELETE OR UPDATE", "AFTER DELETE"])
async def test_a_trigger_that_forbids_deleting_is_disabled_only_for_the_purge(
    empty: AsyncConnection, when: str, each: str
) -> None:
    await guard(empty, when=when, each=each)
    modes = await values(empty, MODES)

    report = await purge(empty)

    assert report.deleted_rows == {'"Stock movements"': 2}
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]
    assert await values(empty, MODES) == modes == ["Append only O", "noted O", "off D"]
    with pytest.raises(DBAPIError, match="append only"):
        await empty.execute(text('DELETE FROM "Stock movements"'))


async def test_a_harmless_trigger_keeps_running(empty: AsyncConnection) -> None:
    await guard(empty)
    await purge(empty)
    assert await values(empty, "SELECT what FROM log") == ["noted", "noted"]


async def test_an_always_firing_trigger_keeps_its_mode(empty: AsyncConnection) -> None:
    await guard(empty)
    await run_script(empty, 'ALTER TABLE "Stock movements" ENABLE ALWAYS TRIGGER "Append only"')
    await purge(empty)
    assert "Append only A" in await values(empty, MODES)


async def test_a_trigger_that_silently_suppresses_the_deletion_is_found(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN NULL")
    modes = await values(empty, MODES)
    report = await purge(empty)
    assert report.deleted_rows == {'"Stock movements"': 2}
    assert [str(trigger) for trigger in report.disabled_triggers] == ['"Append only" of public."Stock movements"']
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]
    assert await values(empty, MODES) == modes


# Runs before the one that interferes, and permits the deletion.
HARMLESS = """
    CREATE FUNCTION harmless() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log VALUES ('harmless'); RETURN OLD; END $$;
    CREATE TRIGGER "A harmless one" BEFORE DELETE ON "Stock movements" FOR EACH ROW EXECUTE FUNCTION harmless();
"""


async def test_only_the_trigger_that_suppressed_rows_is_disabled(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN NULL")
    await run_script(empty, HARMLESS)
    report = await purge(empty)
    assert [trigger.name for trigger in report.disabled_triggers] == ['"Append only"']
    assert await values(empty, "SELECT what FROM log ORDER BY 1") == ["harmless", "harmless", "noted", "noted"]


async def test_two_suppressing_triggers_are_both_disabled(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN NULL")
    await run_script(empty, HARMLESS.replace("RETURN OLD", "RETURN NULL"))
    report = await purge(empty)
    assert [trigger.name for trigger in report.disabled_triggers] == ['"A harmless one"', '"Append only"']
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]


async def test_an_error_without_a_function_is_traced_to_its_trigger(empty: AsyncConnection) -> None:
    await guard(
        empty, "RETURN OLD", when="BEFORE DELETE", each="FOR EACH ROW WHEN (1 / (length(OLD.tenant::text) - 36) = 1)"
    )
    await run_script(empty, HARMLESS)
    report = await purge(empty)
    assert [trigger.name for trigger in report.disabled_triggers] == ['"Append only"']
    assert "harmless" in await values(empty, "SELECT what FROM log")


async def test_rows_that_a_trigger_writes_again_are_no_interference(empty: AsyncConnection) -> None:
    await guard(empty, 'INSERT INTO "Stock movements" VALUES (OLD.tenant); RETURN NULL', when="AFTER DELETE")
    await run_script(empty, HARMLESS)
    with pytest.raises(PurgeIncompleteError):
        await purge(empty)


async def test_a_trigger_that_lacks_a_right_for_its_own_work_is_not_disabled(empty: AsyncConnection) -> None:
    await guard(empty, "PERFORM lo_import('/nowhere'); RETURN OLD")
    await run_script(
        empty,
        """
        CREATE ROLE clerk;
        GRANT ALL ON "Stock movements", log TO clerk;
        ALTER TABLE "Stock movements" OWNER TO clerk;
        SET LOCAL ROLE clerk;
        """,
    )
    with pytest.raises(DBAPIError, match="lo_import"):
        await purge(empty)


async def test_a_function_of_another_schema_with_an_odd_name_is_recognized(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN OLD")
    await run_script(
        empty,
        """
        CREATE SCHEMA "Some where";
        CREATE FUNCTION "Some where"."The ""Guard"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER "Why :not?" BEFORE DELETE ON "Stock movements"
            FOR EACH ROW EXECUTE FUNCTION "Some where"."The ""Guard"();
        """,
    )
    report = await purge(empty)
    assert [trigger.name for trigger in report.disabled_triggers] == ['"Why :not?"']


async def test_triggers_on_other_events_cost_no_statement(empty: AsyncConnection) -> None:
    await guard(empty, when="BEFORE TRUNCATE", each="")
    await run_script(empty, 'DROP TRIGGER noted ON "Stock movements"')
    statements = sent_statements(empty)
    await purge(empty)
    assert len([statement for statement in statements if statement.startswith("SAVEPOINT")]) == 1


async def test_a_table_with_harmless_triggers_is_not_locked(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN OLD")
    statements = sent_statements(empty)
    await purge(empty)
    assert not [statement for statement in statements if statement.startswith("ALTER")]


async def test_a_failed_purge_leaves_triggers_and_rows_as_they_were(empty: AsyncConnection) -> None:
    await guard(empty)
    await run_script(
        empty,
        """
        ALTER TABLE "Stock movements" ADD id serial PRIMARY KEY;
        CREATE TABLE above (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE theirs (tenant uuid, id int REFERENCES above);
        """,
    )
    await build(empty, "INSERT INTO above VALUES ({ours}, 1); INSERT INTO theirs VALUES ({theirs}, 1)")
    await build(empty, 'ALTER TABLE "Stock movements" ADD above int REFERENCES above')
    modes = await values(empty, MODES)
    with pytest.raises(DBAPIError, match="theirs"):
        await purge(empty)
    assert await values(empty, MODES) == modes
    assert await values(empty, 'SELECT count(*) FROM "Stock movements"') == [3]


@pytest.mark.parametrize("code", ["23514", "22023", "P0001", "42501", "ALGA1"])
async def test_the_sqlstate_of_the_trigger_does_not_matter(empty: AsyncConnection, code: str) -> None:
    await guard(empty, f"RAISE EXCEPTION 'append only' USING ERRCODE = '{code}'")
    await purge(empty)
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]


@pytest.mark.parametrize("code", ["40P01", "53200", "57014", "XX000"])
async def test_a_temporary_error_is_no_interference(empty: AsyncConnection, code: str) -> None:
    await guard(empty, f"RAISE EXCEPTION 'busy' USING ERRCODE = '{code}'")
    with pytest.raises(DBAPIError, match="busy"):
        await purge(empty)


async def test_a_protecting_foreign_key_is_not_taken_for_a_trigger(empty: AsyncConnection) -> None:
    await guard(empty, "RETURN OLD")
    await build(
        empty,
        """
        ALTER TABLE "Stock movements" ADD id serial PRIMARY KEY;
        CREATE TABLE theirs (tenant uuid, id int REFERENCES "Stock movements");
        INSERT INTO theirs SELECT {theirs}, id FROM "Stock movements" WHERE tenant = {ours};
        """,
    )
    with pytest.raises(DBAPIError, match="theirs"):
        await purge(empty)
