"""Restores of damaged archives, in a folder and in a bucket, are refused before a row is written."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import obstore
import pytest
from obstore.store import LocalStore, S3Store

from activities.export.archive import Manifest, parse_manifest, totals_of
from app.crypto.derived_keys import derive_key
from app.exports import PURPOSE
from tests.e2e.conftest import SECRET, Service
from tests.e2e.deletions.test_deletion import delete
from tests.e2e.replicas import replica
from tests.support.tenants.rows import row_counts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running")]

Files = Mapping[str, bytes | None]


@dataclass(frozen=True)
class Storing:
    """A gateway, and direct access to the store that it and its worker have."""

    http: httpx.AsyncClient
    store: LocalStore | S3Store

    def read(self, folder: str) -> dict[str, bytes]:
        """Return the files of an archive."""
        paths = [file["path"] for batch in obstore.list(self.store, folder) for file in batch]
        return {path.removeprefix(f"{folder}/"): bytes(obstore.get(self.store, path).bytes()) for path in paths}

    def write(self, folder: str, files: Files) -> None:
        """Replace files of an archive; one without content is deleted."""
        for name, content in files.items():
            if content is None:
                obstore.delete(self.store, f"{folder}/{name}")
            else:
                obstore.put(self.store, f"{folder}/{name}", content)


@pytest.fixture(params=["folder", "bucket"])
async def storing(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Storing]:
    if request.param == "folder":
        yield Storing(service.http, LocalStore(Path(service.environment["EXPORT_URL"].removeprefix("file://"))))
        return
    s3 = request.getfixturevalue("s3")
    bucket, environment = s3.new_bucket(), s3.environment
    settings: dict[str, Any] = {
        **environment,
        "EXPORT_URL": f"s3://{bucket}",
        "TEMPORAL_TASK_QUEUE": f"damage-{uuid4()}",
    }
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(replica(service, "gateway", **settings))
        await stack.enter_async_context(replica(service, "worker", **settings))
        http = await stack.enter_async_context(service.client(gateway.url))
        store = S3Store(
            bucket,
            endpoint=environment["AWS_ENDPOINT_URL"],
            access_key_id=environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region=environment["AWS_REGION"],
            client_options={"allow_http": True},
        )
        yield Storing(http, store)


def damages(files: Mapping[str, bytes], others: Mapping[str, bytes]) -> Iterator[tuple[Files, str]]:
    """Yield what is changed in an archive, and a part of the reason; `others` is the archive of another tenant."""
    one = {"parts/roles.csv.zst": with_one_bit_changed(files["parts/roles.csv.zst"], 0)}
    yield one, "^parts/roles.csv.zst: (it can't be decompressed|its SHA-256 is)"
    yield {"parts/users.csv.zst": None}, "parts/users.csv.zst: the file is missing"
    yield {"parts/more.csv.zst": b"x"}, "parts/more.csv.zst: the manifest does not name this file"
    manifest = parse_manifest(files["manifest.json"])
    renamed = manifest.model_copy(update={"tenant_name": "Other"})
    yield {"manifest.json": renamed.text.encode()}, "manifest.json: its SHA-256 is not"
    yield {"manifest.json": files["manifest.json"][:-1]}, "manifest.json: its SHA-256 is not"
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
    service: Service, storing: Storing, database: asyncpg.Connection
) -> None:
    async def exported(tenant_id: str) -> tuple[str, str]:
        body = {"includeSecrets": True}
        operation = (await storing.http.post(f"/tenants/{tenant_id}/exports", json=body)).raise_for_status().json()
        ended = await service.finished(operation["workflowId"])
        assert ended["status"] == "completed", ended
        query = "SELECT folder FROM alga_tenants.exports WHERE export_id = $1"
        return ended["result"]["exportId"], await database.fetchval(query, UUID(ended["result"]["exportId"]))

    async def restored() -> dict[str, Any]:
        response = await storing.http.post("/restores", json={"exportId": export_id})
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
    for gone in (tenant_id, other_id):
        ended = await service.finished((await delete(service, gone, gracePeriodDays=0, confirm=True))["workflowId"])
        assert ended["status"] == "completed", ended
    files, others = storing.read(folder), storing.read(others_folder)

    for changed, reason in damages(files, others):
        storing.write(folder, changed)
        await refused(reason)
        storing.write(folder, {**dict.fromkeys(changed), **files})

    parts = sorted(set(files) - {"manifest.json"})
    flipped = {name: with_one_bit_changed(files[name], number) for number, name in enumerate(parts)}
    storing.write(folder, flipped)
    shown, further = (await refused(r"; and \d+ further reasons$")).split("; and ")
    assert shown.count("parts/") + int(further.split()[0]) == len(parts)
    storing.write(folder, files)

    # Even if manifest and record agree with a part of another tenant.
    manifest = with_part_of(parse_manifest(others["manifest.json"]), parse_manifest(files["manifest.json"]))
    record = "UPDATE alga_tenants.exports SET manifest_sha256 = $2 WHERE export_id = $1"
    storing.write(
        folder,
        {"manifest.json": manifest.text.encode(), "parts/users.csv.zst": others["parts/users.csv.zst"]},
    )
    await database.execute(record, UUID(export_id), manifest.sha256)
    await refused(f"parts/users.csv.zst: 1 of its rows are another tenant's: {other_id}")
    storing.write(folder, files)
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
