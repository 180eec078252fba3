"""A table of two tenants with triggers, one of which can be made to interfere."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tests.activities.purge.small import build

GUARDED = """
    CREATE TABLE "Stock movements" (tenant uuid);
    CREATE TABLE log (what text);
    CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;
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


async def guard(connection: AsyncConnection, body: str = RAISES, **values: str) -> None:
    given = {"when": "BEFORE DELETE OR UPDATE", "each": "FOR EACH ROW", **values}
    await build(connection, GUARDED, body=body, **given)
