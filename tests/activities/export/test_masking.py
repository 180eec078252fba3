"""Exports without secrets, of tenants that have one in every place that may hold one."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.confidential import columns
from activities.errors import FinalError
from activities.export.archive import Manifest, Mask, MaskedColumn
from activities.export.storage import open_store
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import (
    Change,
    Export,
    content,
    exporter,
    new_folder,
    records,
    undone,
    write_tenant,
)
from tests.activities.purge.rows import RowWriter
from tests.support.alga import catalog

pytestmark = pytest.mark.anyio

PLANTED = "planted-"
# A check allows two values.
NOT_PLANTED = {("password_reset_tokens", "user_type")}


def secret_places() -> Iterator[tuple[str, str, str]]:
    """Yield table, column and type of every text or JSON that may hold a secret."""
    listed = columns._listed()
    for table, facts in catalog("plain")["tables"].items():
        for name, column in facts["columns"].items():
            is_json = column["type"].startswith("json")
            may_hold = is_json or name in listed.columns.get(table, ()) or columns.is_secret_name(name)
            may_hold = may_hold or (table in listed.rows and name != facts["tenant_column"])
            is_kept = not is_json and name in listed.kept_in_exports.get(table, ())
            is_text = is_json or column["type"].startswith(("text", "character varying"))
            if facts["tenant_column"] and is_text and may_hold and not is_kept:
                yield table, name, column["type"]


async def plant(database: asyncpg.Connection, tenant_id: UUID) -> set[tuple[str, str]]:
    """Write a secret into every place, and return those that took it."""
    secret = f"{PLANTED}{tenant_id.hex[:4]}"
    in_json = {"config": [{"password": secret}], "apiKey": secret, "x": {"Client-Secret": [secret, {"a": secret}]}}
    places = [place for place in secret_places() if place[:2] not in NOT_PLANTED]
    statements = ["SET LOCAL session_replication_role = replica"]
    for table, name, sql_type in places:
        value = json.dumps(in_json) if sql_type.startswith("json") else secret
        tenant_column = catalog("plain")["tables"][table]["tenant_column"]
        statements.append(
            f'UPDATE "{table}" SET "{name}" = \'{value}\' WHERE "{tenant_column}"::text = \'{tenant_id}\''  # noqa: S608 - names of the catalogue
        )
    async with database.transaction():
        await database.execute(";\n".join(statements))
    return {(table, name) for table, name, _ in places}


def masked_as(manifest: Manifest, table: str, column: str) -> Mask | None:
    """Return how a column is masked."""
    found = manifest.table(table)
    assert found is not None
    return next((masked.mask for masked in found.masked if masked.name == column), None)


class Planted(NamedTuple):
    """A tenant with a row in every table and a secret in every place, and its exports without and with secrets."""

    tenant_id: UUID
    places: set[tuple[str, str]]
    folder: Path
    masked: Manifest
    whole: Manifest

    def contents(self, manifest: Manifest) -> dict[str, bytes]:
        """Return the contents of an archive's parts by table."""
        archive = self.folder / manifest.export_id
        return {table.name: content(archive / table.part.path) for table in manifest.tables if table.part}


@pytest.fixture(scope="module")
async def planted(database_url: str, database_shape: str, engine: AsyncEngine, server_folder: Path) -> Planted:
    """Write such a tenant, and export it twice."""
    tenant_id = await write_tenant(database_url, database_shape)
    database = await asyncpg.connect(database_url)
    try:
        places = await plant(database, tenant_id)
    finally:
        await database.close()
    folder = new_folder(server_folder)
    run = exporter(engine, open_store(folder.as_uri()))
    masked = await run(tenant_id, "masked", export_id="masked", include_secrets=False)
    return Planted(tenant_id, places, folder, masked, await run(tenant_id, "whole", export_id="whole"))


async def test_no_part_of_a_masked_archive_has_a_secret(planted: Planted) -> None:
    manifest, contents = planted.masked, planted.contents(planted.masked)
    assert len(planted.places) > 350
    assert [name for name, text in contents.items() if PLANTED.encode() in text] == []
    assert manifest.masked
    assert manifest.masked_unlisted == (
        "email_sending_logs.reply_token_hash",
        "email_sending_logs.reply_token_suffix",
    )
    dropped = {table.name: (table.dropped_rows, table.rows) for table in manifest.tables if table.dropped_because}
    listed = {*columns._listed().rows, "document_share_access_log"}
    assert dropped == dict.fromkeys(listed, (1, 0))
    # The other rows are there, and with secrets all values are.
    with_secrets = planted.contents(planted.whole)
    assert contents.keys() | dropped.keys() == {table.name for table in planted.whole.tables}
    assert sum(text.count(PLANTED.encode()) for text in with_secrets.values()) > 700


async def test_a_masked_archive_can_be_loaded(
    planted: Planted, database: asyncpg.Connection, database_shape: str
) -> None:
    contents = planted.contents(planted.masked)
    owned = [table for table in planted.masked.tables if table.tenant_column]
    tenant_id = planted.tenant_id
    deletions = [
        f'DELETE FROM "{table.name}" WHERE "{table.tenant_column}"::text = \'{tenant_id}\''  # noqa: S608 - from our manifest
        for table in owned
    ]

    async with undone(database):
        # Foreign keys are checked at the end; checks, null and unique keys at once.
        await database.execute(";\n".join(["SET LOCAL session_replication_role = replica", *deletions]))
        for table in owned:
            if table.part:
                await database.copy_to_table(
                    table.name,
                    source=io.BytesIO(contents[table.name]),
                    columns=[column.name for column in table.columns],
                    format="csv",
                    header=True,
                )
        queries = list(RowWriter(catalog(database_shape)).broken_references())
        batches = ["\nUNION ALL\n".join(queries[start : start + 100]) for start in range(0, len(queries), 100)]
        broken = [name for batch in batches for name in await database.fetch(batch)]
        user = await database.fetchrow("SELECT * FROM users WHERE tenant = $1", tenant_id)

    assert broken == []
    assert user is not None
    assert user["hashed_password"].startswith("masked-")
    assert ":" not in user["hashed_password"]
    assert user["two_factor_secret"] is None
    assert user["two_factor_enabled"] is False


MAGIC = """
    CREATE TABLE magic (tenant uuid, token text PRIMARY KEY);
    CREATE TABLE magic_uses (tenant uuid, id int PRIMARY KEY, magic text NOT NULL REFERENCES magic);
    CREATE TABLE magic_notes (tenant uuid, id int PRIMARY KEY, magic text REFERENCES magic, note text);
"""
# By their definitions: what a masked row has.
ADDED = {
    "api_token text": "",
    "a_secret text NOT NULL DEFAULT 'planted-'": "masked-",
    "password varchar(8) NOT NULL DEFAULT 'planted-'": "",
    "credentials jsonb NOT NULL DEFAULT '[\"planted-\"]'": "[]",
    'old_credentials json NOT NULL DEFAULT \'{"a": "planted-"}\'': "{}",
    "token uuid NOT NULL DEFAULT gen_random_uuid()": "",
    "api_keys text[] NOT NULL DEFAULT '{planted-}'": "{}",
    "passphrase bytea NOT NULL DEFAULT 'planted-'": "\\x",
}


@ON_ONE_SHAPE
async def test_a_column_that_was_added_a_moment_ago_is_masked_by_its_name(
    small_tenant: UUID, export: Export, change: Change, database: asyncpg.Connection, folder: Path
) -> None:
    names = [definition.split()[0] for definition in ADDED]
    await change(
        f"ALTER TABLE teams {', '.join(f'ADD {definition}' for definition in ADDED)}",
        f"ALTER TABLE teams {', '.join(f'DROP {name}' for name in names)}",
    )
    await database.execute("UPDATE teams SET api_token = 'planted-' WHERE tenant = $1", small_tenant)

    manifest = await export(small_tenant, include_secrets=False)

    assert {f"teams.{name}" for name in names} <= set(manifest.masked_unlisted)
    row, *others = records(folder / "a", manifest, "teams")
    assert not others
    for name, expected in zip(names, ADDED.values(), strict=True):
        assert PLANTED not in row[name]
        assert row[name].startswith(expected)
        assert (row[name] == "") == (masked_as(manifest, "teams", name) is Mask.NULL)
    again = await export(small_tenant, "b", include_secrets=False)
    assert records(folder / "b", again, "teams") == [row]


@ON_ONE_SHAPE
async def test_a_secret_that_can_not_be_masked_ends_the_export(
    small_tenant: UUID, export: Export, change: Change
) -> None:
    await change("ALTER TABLE teams ADD token point NOT NULL DEFAULT '(1, 2)'", "ALTER TABLE teams DROP token")

    with pytest.raises(FinalError, match="column token of table teams is a secret by its name"):
        await export(small_tenant, include_secrets=False)
    await export(small_tenant, "b")


@ON_ONE_SHAPE
async def test_rows_whose_key_is_a_secret_are_left_out_with_all_that_reference_them(
    small_tenant: UUID, export: Export, change: Change, database: asyncpg.Connection, folder: Path
) -> None:
    await change(MAGIC, "DROP TABLE magic_uses, magic_notes, magic")
    await database.execute("INSERT INTO magic VALUES ($1, $2)", small_tenant, PLANTED)
    await database.execute("INSERT INTO magic_uses VALUES ($1, 1, $2)", small_tenant, PLANTED)
    await database.execute("INSERT INTO magic_notes VALUES ($1, 1, $2, 'kept')", small_tenant, PLANTED)

    manifest = await export(small_tenant, include_secrets=False)

    reasons = {table.name: table.dropped_because for table in manifest.tables if table.name.startswith("magic")}
    assert reasons == {
        "magic": "token is a secret and part of a key",
        "magic_uses": "each row references magic",
        "magic_notes": None,
    }
    assert records(folder / "a", manifest, "magic_notes") == [
        {"tenant": str(small_tenant), "id": "1", "magic": "", "note": "kept"}
    ]


@ON_ONE_SHAPE
async def test_the_manifest_names_every_masked_column(small_tenant: UUID, export: Export) -> None:
    manifest = await export(small_tenant, include_secrets=False)

    users = manifest.table("users")
    assert users is not None
    assert {
        MaskedColumn(name="hashed_password", mask=Mask.PLACEHOLDER),
        MaskedColumn(name="two_factor_enabled", mask=Mask.CONSTANT),
        MaskedColumn(name="two_factor_secret", mask=Mask.NULL),
    } <= set(users.masked)
    assert masked_as(manifest, "tenant_email_settings", "provider_configs") == Mask.KEYS
    assert masked_as(manifest, "webhooks", "signing_secret_vault_path") is None
    assert not any(table.masked or table.dropped_because for table in (await export(small_tenant, "b")).tables)
