"""Downloaded archives are verified without a gateway."""

import tarfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from activities.export.archive import MANIFEST, ArchivedColumn, ArchivedTable, Manifest, part_path, totals_of
from activities.export.packing import Packer
from tests.app.cli.conftest import Run
from tests.app.client.archive import EXPORT_ID
from tests.app.client.scripted_server import TENANT_ID

USERS = part_path("users")
ROWS = f"tenant,email\n{TENANT_ID},ada@acme.example\n".encode()


def write_archive(folder: Path, rows: bytes = ROWS) -> Manifest:
    packer = Packer()
    packed = packer.add(rows) + packer.end()
    columns = (ArchivedColumn(name="tenant", type="uuid"), ArchivedColumn(name="email", type="text"))
    part = packer.part(USERS)
    tables = (ArchivedTable(name="users", tenant_column="tenant", columns=columns, rows=1, part=part),)
    manifest = Manifest(
        export_id=EXPORT_ID,
        tenant_id=UUID(TENANT_ID),
        tenant_name="Acme",
        product="psa",
        created_at=datetime(2026, 1, 31, tzinfo=UTC),
        product_version="0.2.0",
        requested_by=None,
        masked=True,
        schema_fingerprint="0" * 64,
        tables=tables,
        masked_unlisted=(),
        totals=totals_of(tables),
    )
    (folder / "parts").mkdir(parents=True)
    (folder / USERS).write_bytes(packed)
    (folder / MANIFEST).write_text(manifest.text)
    return manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


def test_a_whole_archive_is_verified(run: Run, folder: Path) -> None:
    manifest = write_archive(folder)
    ran = run("exports", "verify", str(folder), "--manifest-sha256", manifest.sha256)
    assert (ran.code, ran.stdout) == (0, f"verified: {folder}\n")
    assert run("exports", "verify", str(folder), "--json").document == {"verified": True, "faults": []}


def test_a_tar_is_verified_and_leaves_nothing_behind(run: Run, folder: Path) -> None:
    write_archive(folder)
    archive = folder.parent / "export.tar"
    with tarfile.open(archive, "w") as tar:
        for name in (MANIFEST, USERS):
            tar.add(folder / name, name)
    assert run("exports", "verify", str(archive)).code == 0
    assert sorted(folder.parent.iterdir()) == [folder, archive]


def test_a_damaged_part_is_named(run: Run, folder: Path) -> None:
    write_archive(folder)
    part = folder / USERS
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    ran = run("exports", "verify", str(folder), "--json")
    assert (ran.code, ran.document["verified"]) == (1, False)
    assert {fault["file"] for fault in ran.document["faults"]} == {USERS}
    assert USERS in run("exports", "verify", str(folder)).stderr


def test_rows_of_another_tenant_are_a_fault(run: Run, folder: Path) -> None:
    write_archive(folder, ROWS.replace(TENANT_ID.encode(), EXPORT_ID.encode()))
    ran = run("exports", "verify", str(folder))
    assert ran.code == 1
    assert "another tenant" in ran.stderr


def test_another_manifest_is_a_fault_if_its_hash_is_known(run: Run, folder: Path) -> None:
    write_archive(folder)
    assert run("exports", "verify", str(folder), "--manifest-sha256", "0" * 64).code == 1


def test_something_else_than_an_archive_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no archive")
    assert run("exports", "verify", str(file)).code == 2
    assert run("exports", "verify", str(tmp_path / "missing")).code == 2
    assert run("exports", "verify", str(tmp_path)).code == 1


def test_a_tar_that_leaves_its_folder_is_refused(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    archive = tmp_path / "export.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(secret, "../outside")
    assert run("exports", "verify", str(archive)).code == 2
    assert sorted(tmp_path.iterdir()) == [archive, secret]
