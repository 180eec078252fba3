"""Places at which obstacles meet a deletion: where it writes our own tables."""

import asyncpg

BEGIN, SUSPENDING, EXPORT_BEGINS, EXPORTING = "begin", "suspending", "export begins", "exporting"
LISTED, DELETED, UNDO = "listed", "deleted", "undo"
# A purge meets its obstacle when all rows are deleted, before it appends to the audit trail, which others would need.
_WRITES = {
    BEGIN: "INSERT ON alga_tenants.deletions",
    SUSPENDING: "INSERT ON alga_tenants.suspensions",
    EXPORT_BEGINS: "INSERT ON alga_tenants.exports",
    EXPORTING: "UPDATE OF tables_done ON alga_tenants.exports",
    LISTED: "UPDATE OF external ON alga_tenants.deletions",
    DELETED: "UPDATE OF deleted_at ON alga_tenants.deletions",
    UNDO: "UPDATE OF undone_at ON alga_tenants.deletions",
}
_FUNCTION = """
CREATE OR REPLACE FUNCTION obstacles.met_by_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM obstacles.meet(NEW.tenant_id::text, TG_ARGV[0]); RETURN NULL; END $$;
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER "{place}" AFTER {write} FOR EACH ROW EXECUTE FUNCTION obstacles.met_by_deletion('{place}');
"""


async def add_places(connection: asyncpg.Connection) -> None:
    """Add the places to a database that can have obstacles; again, it changes nothing."""
    triggers = (_TRIGGER.format(place=place, write=write) for place, write in _WRITES.items())
    await connection.execute("".join((_FUNCTION, *triggers)))
