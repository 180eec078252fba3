"""Triggers that run at the end of the transaction, when it is too late to disable them."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.activities.purge.small import THEIRS, build, purge, sent_statements, values
from tests.activities.purge.triggers.guarded import MODES

pytestmark = pytest.mark.anyio

LATE = """
    CREATE TABLE a (tenant uuid);
    CREATE TABLE log (what text);
    INSERT INTO a VALUES ({ours}), ({theirs});
    CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER DELETE ON a DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION object();
"""


async def test_a_deferred_trigger_that_forbids_deleting_is_disabled(empty: AsyncConnection) -> None:
    await build(empty, LATE, body="RAISE 'never'")

    report = await purge(empty)

    assert report.deleted_rows == {"a": 1}
    assert [trigger.name for trigger in report.disabled_triggers] == ["late"]
    assert await values(empty, "SELECT tenant FROM a") == [THEIRS]
    assert await values(empty, MODES) == ["late O"]


async def test_a_harmless_deferred_trigger_runs_before_the_proof(empty: AsyncConnection) -> None:
    await build(
        empty,
        LATE + "CREATE TABLE audit (tenant uuid);",
        body="INSERT INTO audit VALUES (OLD.tenant); INSERT INTO log VALUES (TG_NAME)",
    )

    report = await purge(empty)

    assert report.deleted_rows == {"a": 1, "audit": 1}
    assert report.disabled_triggers == ()
    assert await values(empty, "SELECT what FROM log") == ["late"]


async def test_a_rule_that_holds_again_at_the_end_may_be_broken_in_between(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE clients (tenant uuid, id int PRIMARY KEY);
        CREATE TABLE profiles (tenant uuid, client int REFERENCES clients);
        INSERT INTO clients VALUES ({ours}, 1), ({theirs}, 2);
        INSERT INTO profiles VALUES ({ours}, 1), ({theirs}, 2);
        CREATE FUNCTION one_profile_at_least() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM clients WHERE id = OLD.client)
                AND NOT EXISTS (SELECT FROM profiles WHERE client = OLD.client) THEN RAISE 'no profile'; END IF;
            RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER has_profile AFTER DELETE ON profiles DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION one_profile_at_least();
        """,
    )
    statements = sent_statements(empty)

    assert (await purge(empty)).disabled_triggers == ()

    assert not [statement for statement in statements if statement.startswith("ALTER")]
    with pytest.raises(DBAPIError, match="no profile"):
        await empty.execute(text("DELETE FROM profiles"))


async def test_a_trigger_with_pending_events_is_disabled_first(empty: AsyncConnection) -> None:
    await build(
        empty,
        """
        CREATE TABLE a (tenant uuid, id int PRIMARY KEY, b int);
        CREATE TABLE b (tenant uuid, id int PRIMARY KEY, a int NOT NULL REFERENCES a);
        INSERT INTO a VALUES ({ours}, 1, 1);
        INSERT INTO b VALUES ({ours}, 1, 1);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER noted AFTER UPDATE ON a DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION note();
        CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
        CREATE TRIGGER immutable BEFORE DELETE ON a FOR EACH ROW EXECUTE FUNCTION object();
        """,
    )

    assert (await purge(empty)).deleted_rows == {"a": 1, "b": 1}

    assert await values(empty, MODES) == ["immutable O", "noted O"]


async def test_pending_events_of_the_caller_are_an_error(empty: AsyncConnection) -> None:
    await build(empty, LATE + "SET CONSTRAINTS ALL IMMEDIATE;", body="RAISE 'never'")
    await empty.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    await empty.execute(text("DELETE FROM a WHERE tenant = '00000000-0000-4000-8000-000000000001'"))

    with pytest.raises(DBAPIError, match="pending trigger events"):
        await purge(empty)
