"""Restores of damaged archives are refused before a row is written."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from activities.export.archive import Manifest, parse_manifest, totals_of
from app.crypto.derived_keys import derive_key
from app.exports import PURPOSE
from tests.e2e.conftest import SECRET, Service
from tests.e2e.deletions.test_deletion import delete
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

Files = Mapping[str, bytes | None]


class Archives:
    """Direct access to the folder in which the service keeps archives."""

    def __init__(self, service: Service) -> None:
        self._folder = Path(service.environment["EXPORT_URL"].removeprefix("file://"))

    def read(self, archive: str) -> dict[str, bytes]:
        """Return the files of an archive."""
        folder = self._folder / archive
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    def write(self, archive: str, files: Files) -> None:
        """Replace files of an archive; one without content is deleted."""
        for name, content in files.items():
            file = self._folder / archive / name
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)


def damages(files: Mapping[str, bytes], others: Mapping[str, bytes]) -> Iterator[tuple[Files, str]]:
    """Yield what is changed in an archive, and a part of the reason; `others` is the archive of another tenant."""
    one = {"parts/roles.csv.zst": with_one_bit_changed(files["parts/roles.csv.zst"], 0)}
    yield one, "^parts/roles.csv.zst: (it can't be decompressed|its SHA-256 is)"
    yield {"parts/users.csv.zst": None}, "parts/users.csv.zst: the file is missing"
    yield {"parts/more.csv.zst": b"x"}, "parts/more.csv.zst: the manifest does not name this file"
    manifest = parse_manifest(files["manifest.json"])
    renamed = manifest.model_copy(update={"tenant_name": "Other"})
    yield {"manifest.json": renamed.text.encode()}, "manifest.json: its SHA-256 is not"
    yield {"manifest.json": None}, "manifest.json: the file is missing"
    yield {"parts/users.csv.zst": others["parts/users.csv.zst"]}, "^parts/users.csv.zst: it.* not "
    yield {**dict.fromkeys(files), **others}, "manifest.json: its SHA-256 is not"


def with_one_bit_changed(content: bytes, number: int) -> bytes:
    place = number * 7 % len(content)
    return content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :]


def with_part_of(others: Manifest, manifest: Manifest) -> Manifest:
    """Return a manifest that describes the users of another tenant, signed as the service does."""
    theirs = others.table("users")
    assert theirs is not None
    tables = tuple(
        table.model_copy(update={"part": theirs.part, "rows": theirs.rows}) if table.name == "users" else table
        for table in manifest.tables
    )
    changed = manifest.model_copy(update={"tables": tables, "totals": totals_of(tables)})
    return changed.signed(derive_key(SECRET, PURPOSE))


async def test_a_damaged_archive_is_refused_before_a_row_is_written_and_the_undamaged_one_restored(
    service: Service, database: asyncpg.Connection
) -> None:
    archives = Archives(service)

    async def exported(tenant_id: str) -> tuple[str, str]:
        body = {"includeSecrets": True}
        operation = (await service.http.post(f"/tenants/{tenant_id}/exports", json=body)).raise_for_status().json()
        ended = await service.finished(operation["workflowId"])
        assert ended["status"] == "completed", ended
        query = "SELECT folder FROM alga_tenants.exports WHERE export_id = $1"
        return ended["result"]["exportId"], await database.fetchval(query, UUID(ended["result"]["exportId"]))

    async def restored() -> dict[str, Any]:
        response = await service.http.post("/restores", json={"exportId": export_id})
        assert response.status_code == 202, response.text
        return await service.finished(response.json()["workflowId"])

    async def refused(reason: str) -> str:
        operation = await restored()
        assert (operation["status"], operation["error"]["code"]) == ("failed", "restore-refused"), operation
        assert re.search(reason, operation["error"]["detail"]), operation
        assert await row_counts(database, tenant_id) == {}
        return str(operation["error"]["detail"])

    tenant_id, other_id = [(await service.provision())["tenantId"] for _ in range(2)]
    before = await row_counts(database, tenant_id)
    export_id, folder = await exported(tenant_id)
    _, others_folder = await exported(other_id)
    ended = await service.finished((await delete(service, tenant_id, gracePeriodDays=0, confirm=True))["workflowId"])
    assert ended["status"] == "completed", ended
    files, others = archives.read(folder), archives.read(others_folder)

    for changed, reason in damages(files, others):
        archives.write(folder, changed)
        await refused(reason)
        archives.write(folder, {**dict.fromkeys(changed), **files})

    parts = sorted(set(files) - {"manifest.json"})
    flipped = {name: with_one_bit_changed(files[name], number) for number, name in enumerate(parts)}
    archives.write(folder, flipped)
    shown, further = (await refused(r"; and \d+ further reasons$")).split("; and ")
    assert shown.count("parts/") + int(further.split()[0]) == len(parts)
    archives.write(folder, files)

    # Even if manifest and record agree with a part of another tenant.
    manifest = with_part_of(parse_manifest(others["manifest.json"]), parse_manifest(files["manifest.json"]))
    record = "UPDATE alga_tenants.exports SET manifest_sha256 = $2 WHERE export_id = $1"
    archives.write(
        folder,
        {"manifest.json": manifest.text.encode(), "parts/users.csv.zst": others["parts/users.csv.zst"]},
    )
    await database.execute(record, UUID(export_id), manifest.sha256)
    await refused(f"parts/users.csv.zst: 1 of its rows are another tenant's: {other_id}")
    archives.write(folder, files)
    await database.execute(record, UUID(export_id), parse_manifest(files["manifest.json"]).sha256)

    await database.execute("ALTER TABLE tax_holidays ADD COLUMN added text")
    try:
        await refused("the tables have other columns than when the archive was written: tax_holidays")
    finally:
        await database.execute("ALTER TABLE tax_holidays DROP COLUMN added")

    operation = await restored()
    assert operation["status"] == "completed", operation
    assert await row_counts(database, tenant_id) == before
    await delete(service, tenant_id)
