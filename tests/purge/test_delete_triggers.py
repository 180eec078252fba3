"""Purging tables whose triggers object; each test makes the table and the trigger that show it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.delete_triggers import MissingRightError
from tests.purge.conftest import run_script
from tests.purge.small import THEIRS, build, purge, values

pytestmark = pytest.mark.anyio

GUARDED = """
    CREATE TABLE "Stock movements" (tenant uuid);
    CREATE TABLE log (what text);
    CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {objection}; END $$;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log VALUES (TG_NAME); RETURN NULL; END $$;
    CREATE TRIGGER "Append only" {when} ON "Stock movements" {each} EXECUTE FUNCTION object();
    CREATE TRIGGER noted AFTER DELETE ON "Stock movements" FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER off BEFORE DELETE ON "Stock movements" FOR EACH ROW EXECUTE FUNCTION object();
    ALTER TABLE "Stock movements" DISABLE TRIGGER off;
    INSERT INTO "Stock movements" VALUES ({ours}), ({ours}), ({theirs});
"""
RAISES = "RAISE EXCEPTION 'append only'"
MODES = "SELECT tgname::text || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"


async def guard(connection: AsyncConnection, objection: str = RAISES, **words: str) -> None:
    given = {"when": "BEFORE DELETE OR UPDATE", "each": "FOR EACH ROW", **words}
    await build(connection, GUARDED, objection=objection, **given)


@pytest.mark.parametrize("each", ["FOR EACH ROW", "FOR EACH STATEMENT"])
@pytest.mark.parametrize("when", ["BEFORE DELETE OR UPDATE", "AFTER DELETE"])
async def test_a_trigger_that_forbids_deleting_is_disabled_for_the_purge_alone(
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


async def test_a_trigger_that_does_not_object_keeps_running(empty: AsyncConnection) -> None:
    await guard(empty)
    await purge(empty)
    assert await values(empty, "SELECT what FROM log") == ["noted", "noted"]


async def test_a_trigger_that_always_fires_always_fires_afterwards(empty: AsyncConnection) -> None:
    await guard(empty)
    await run_script(empty, 'ALTER TABLE "Stock movements" ENABLE ALWAYS TRIGGER "Append only"')
    await purge(empty)
    assert "Append only A" in await values(empty, MODES)


async def test_a_trigger_that_swallows_the_deletion_without_a_word_is_found_by_the_next_pass(
    empty: AsyncConnection,
) -> None:
    await guard(empty, "RETURN NULL")
    modes = await values(empty, MODES)
    await purge(empty)
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]
    assert await values(empty, MODES) == modes


@pytest.mark.parametrize("code", ["23514", "22023", "P0001"])
async def test_the_objections_own_sqlstate_does_not_matter(empty: AsyncConnection, code: str) -> None:
    await guard(empty, f"RAISE EXCEPTION 'append only' USING ERRCODE = '{code}'")
    await purge(empty)
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]


@pytest.mark.parametrize("code", ["40P01", "53200", "57014"])
async def test_an_error_that_may_pass_is_no_objection(empty: AsyncConnection, code: str) -> None:
    await guard(empty, f"RAISE EXCEPTION 'busy' USING ERRCODE = '{code}'")
    with pytest.raises(DBAPIError, match="busy"):
        await purge(empty)


async def test_a_key_that_protects_a_row_is_no_trigger(empty: AsyncConnection) -> None:
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


async def test_an_update_that_a_cut_needs_is_let_through_as_well(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int);
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int NOT NULL REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        INSERT INTO a VALUES ({ours}, 1, NULL); INSERT INTO b VALUES ({ours}, 1, 1); UPDATE a SET b = 1;
        CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never changed'; END $$;
        CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON a FOR EACH ROW EXECUTE FUNCTION object();
        """,
    )
    assert (await purge(empty)).deleted_rows == {"a": 1, "b": 1}
    assert await values(empty, MODES) == ["immutable O"]


async def test_a_check_that_waits_for_the_commit_speaks_within_the_purge(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid);
        INSERT INTO a VALUES ({ours});
        CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER DELETE ON a DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION object();
        """,
    )
    with pytest.raises(DBAPIError, match="never"):
        await purge(empty)


async def test_partitions_are_guarded_by_the_trigger_of_the_whole(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (10);
        INSERT INTO a VALUES ({ours}, 1), ({theirs}, 1);
        CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
        CREATE TRIGGER immutable BEFORE DELETE ON a FOR EACH ROW EXECUTE FUNCTION object();
        """,
    )
    await purge(empty)
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]
    assert await values(empty, MODES) == ["immutable O", "immutable O"]


ROLES = """
    CREATE ROLE keeper; CREATE ROLE helper; CREATE ROLE stranger;
    GRANT keeper TO helper;
    GRANT USAGE, CREATE ON SCHEMA public TO keeper;
    GRANT USAGE ON SCHEMA public TO stranger;
    ALTER TABLE "Stock movements" OWNER TO keeper;
    GRANT SELECT, DELETE ON "Stock movements" TO stranger;
    GRANT ALL ON log TO keeper, stranger;
"""


@pytest.mark.parametrize("role", ["keeper", "helper"])
async def test_the_owner_and_its_members_may(empty: AsyncConnection, role: str) -> None:
    await guard(empty)
    await run_script(empty, ROLES)
    await empty.execute(text(f"SET LOCAL ROLE {role}"))
    await purge(empty)
    assert await values(empty, 'SELECT tenant FROM "Stock movements"') == [THEIRS]


async def test_a_role_that_may_not_is_told_which_right_it_lacks(empty: AsyncConnection) -> None:
    await guard(empty)
    await run_script(empty, ROLES)
    await empty.execute(text("SET LOCAL ROLE stranger"))
    with pytest.raises(MissingRightError) as caught:
        await purge(empty)
    assert caught.value.code == "missing-right"
    assert str(caught.value) == (
        'trigger "Append only" of table public."Stock movements" forbids deleting, and role "stranger" may not'
        ' disable it: it must own the table or be a member of its owner, as after GRANT "keeper" TO "stranger"'
    )
