"""`alga-tenants archives import` on a real database and a store in a folder."""

import asyncio
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from activities.export.archive import (
    ArchivedColumn,
    ArchivedTable,
    Manifest,
    parse_manifest,
    part_path,
    totals_of,
)
from activities.export.packing import Packer
from activities.export.storage import open_store
from activities.export.verification import verify_archive
from app.cli import app
from app.crypto.derived_keys import derive_key
from app.embedded.processes.blocking import run_blocking
from app.exports import PURPOSE
from migrations.upgrade import upgrade
from tests.activities.conftest import sqlalchemy_url
from tests.support.servers.databases import NewDatabase

SECRET = "a-secret-of-this-installation"


@dataclass(frozen=True)
class Downloaded:
    """An archive of another installation, in a folder."""

    folder: Path
    manifest: Manifest

    @property
    def part(self) -> Path:
        return self.folder / part_path("users")


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> str:
    url = new_database()
    run_blocking(upgrade(sqlalchemy_url(url)))
    return url


@pytest.fixture
def downloaded(tmp_path: Path) -> Downloaded:
    tenant_id, packer = uuid4(), Packer()
    packed = packer.add(f"tenant,email\n{tenant_id},ada\n".encode()) + packer.end()
    columns = tuple(ArchivedColumn(name=name, type="text") for name in ("tenant", "email"))
    table = ArchivedTable(
        name="users", tenant_column="tenant", columns=columns, rows=1, part=packer.part(part_path("users"))
    )
    manifest = Manifest(
        export_id=str(uuid4()),
        tenant_id=tenant_id,
        tenant_name="Acme",
        product="psa",
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        product_version="0.2.0",
        requested_by="ada",
        masked=True,
        schema_fingerprint="0" * 64,
        masked_unlisted=(),
        tables=(table,),
        totals=totals_of([table]),
    ).signed(b"the key of another installation")
    found = Downloaded(tmp_path / "downloaded", manifest)
    found.part.parent.mkdir(parents=True)
    found.part.write_bytes(packed)
    (found.folder / "manifest.json").write_text(manifest.text)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def run(path: Path, digest: str, *arguments: str, database: str, store: Path | None) -> Result:
    environment = {
        "DATABASE_URL": database,
        "ADMIN_DATABASE_URL": database,
        "ENVIRONMENT": "development",
        "NEXTAUTH_SECRET": SECRET,
        "EXPORT_URL": store.as_uri() if store is not None else None,
    }
    given = ["archives", "import", str(path), "--manifest-sha256", digest, *arguments]
    result = CliRunner(env=environment).invoke(app, given, prog_name="alga-tenants")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def fetch(database: str, query: str, *values: object) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *values)
            return found
        finally:
            await connection.close()

    return run_blocking(ask())


def stored_files(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]


@pytest.mark.parametrize("is_tar", [False, True])
def test_an_archive_of_another_installation_is_stored_verified_and_recorded(
    database: str, downloaded: Downloaded, store: Path, tmp_path: Path, is_tar: bool
) -> None:
    path, manifest = downloaded.folder, downloaded.manifest
    if is_tar:
        path = tmp_path / "downloaded.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(downloaded.folder, arcname="")
    ran = run(path, manifest.sha256, "--json", database=database, store=store)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == {"exportId": manifest.export_id, "tenantId": str(manifest.tenant_id)}
    query = "SELECT * FROM alga_tenants.exports WHERE export_id = $1"
    [row] = fetch(database, query, UUID(manifest.export_id))
    assert (row["tenant_id"], row["rows"], row["include_secrets"]) == (manifest.tenant_id, 1, False)
    assert row["completed_at"] < row["expires_at"]
    key = derive_key(SECRET, PURPOSE)
    verifying = verify_archive(
        open_store(store.as_uri()), row["folder"], manifest_sha256=row["manifest_sha256"], mac_key=key
    )
    assert asyncio.run(verifying) == []
    written = parse_manifest((store / row["folder"] / "manifest.json").read_bytes())
    assert written == manifest.signed(key)
    events = "SELECT action, tenant_id FROM alga_tenants.audit_events WHERE subject = $1"
    assert [tuple(event) for event in fetch(database, events, manifest.export_id)] == [
        ("export.import", manifest.tenant_id)
    ]


def test_an_archive_is_stored_once_until_it_was_removed(database: str, downloaded: Downloaded, store: Path) -> None:
    digest = downloaded.manifest.sha256
    assert run(downloaded.folder, digest, database=database, store=store).exit_code == 0
    files = stored_files(store)
    again = run(downloaded.folder, digest, database=database, store=store)
    assert (again.exit_code, stored_files(store)) == (7, files)
    assert "has an archive here already" in again.stderr
    change = "UPDATE alga_tenants.exports SET removed_at = now() WHERE export_id = $1 RETURNING folder"
    [(folder,)] = fetch(database, change, UUID(downloaded.manifest.export_id))
    assert run(downloaded.folder, digest, database=database, store=store).exit_code == 0
    query = "SELECT folder <> $2 AND removed_at IS NULL FROM alga_tenants.exports WHERE export_id = $1"
    assert fetch(database, query, UUID(downloaded.manifest.export_id), folder) == [(True,)]


def test_a_damaged_archive_and_one_with_another_manifest_are_refused(
    database: str, downloaded: Downloaded, store: Path
) -> None:
    digest = downloaded.manifest.sha256
    other = run(downloaded.folder, sha256(b"x").hexdigest(), database=database, store=store)
    assert (other.exit_code, stored_files(store)) == (1, [])
    assert "manifest.json: its SHA-256 is not" in other.stderr
    downloaded.part.write_bytes(downloaded.part.read_bytes()[:-1])
    damaged = run(downloaded.folder, digest, database=database, store=store)
    assert (damaged.exit_code, stored_files(store)) == (1, [])
    assert "parts/users.csv.zst: it has" in damaged.stderr
    assert fetch(database, "SELECT FROM alga_tenants.exports WHERE export_id::text = $1", digest) == []


def test_an_archive_needs_a_store(database: str, downloaded: Downloaded) -> None:
    ran = run(downloaded.folder, downloaded.manifest.sha256, database=database, store=None)
    assert ran.exit_code == 2
    assert "EXPORT_URL is not set" in ran.stderr
