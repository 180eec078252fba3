"""Archives are fetched part by part, in ranges, or as a tar, from a folder and from an S3-compatible store."""

import hashlib
import io
import tarfile
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from tests.app.gateway.exports.archived import TABLES, Stored, incompressible, recorded, store_archive
from tests.app.gateway.exports.conftest import Storing
from tests.app.gateway.requests import assert_problem

pytestmark = pytest.mark.anyio

# More than one piece.
LARGE = {**TABLES, "documents": incompressible(2_500_000)}


async def test_the_manifest_is_returned_byte_by_byte(exporter: httpx.AsyncClient, stored: Stored) -> None:
    response = await exporter.get(f"{stored.path}/manifest")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == stored.manifest.text.encode()
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'


async def test_a_part_is_returned_whole_with_its_hash(exporter: httpx.AsyncClient, stored: Stored) -> None:
    response = await exporter.get(f"{stored.path}/parts/users")
    assert response.status_code == 200
    assert response.content == stored.parts["users"]
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["content-type"] == "application/zstd"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert response.headers["cache-control"] == "no-store"


async def test_a_range_of_a_part_is_returned(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, storing.store, LARGE)
    whole, path = stored.parts["documents"], f"{stored.path}/parts/documents"
    size = len(whole)
    assert (await exporter.get(path)).content == whole
    for header, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2000000", 1_000_000, 2_000_001),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-5", size - 5, size),
        (f"bytes=10-{size * 2}", 10, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        response = await exporter.get(path, headers={"Range": header})
        assert response.status_code == 206, header
        assert response.content == whole[start:end], header
        assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert response.headers["content-length"] == str(end - start)


async def test_a_range_is_only_of_the_part_that_the_client_has_begun(
    exporter: httpx.AsyncClient, stored: Stored
) -> None:
    path, whole = f"{stored.path}/parts/users", stored.parts["users"]
    tag = f'"{hashlib.sha256(whole).hexdigest()}"'
    same = await exporter.get(path, headers={"Range": "bytes=3-", "If-Range": tag})
    assert (same.status_code, same.content) == (206, whole[3:])
    for other in ('"other"', f"W/{tag}", "Sat, 01 Mar 2025 12:00:00 GMT"):
        response = await exporter.get(path, headers={"Range": "bytes=3-", "If-Range": other})
        assert (response.status_code, response.content) == (200, whole)


async def test_a_range_behind_the_end_is_refused_with_the_size(exporter: httpx.AsyncClient, stored: Stored) -> None:
    response = await exporter.get(f"{stored.path}/parts/users", headers={"Range": "bytes=9999-"})
    assert_problem(response, 416, "range-not-satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(stored.parts['users'])}"


async def test_an_archive_is_returned_as_a_tar_of_known_length(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, storing.store, LARGE)
    response = await exporter.get(f"{stored.path}/content")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-tar"
    assert response.headers["content-length"] == str(len(response.content))
    with tarfile.open(fileobj=io.BytesIO(response.content)) as tar:
        members = tar.getmembers()
        found = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr] # files
    assert {member.mtime for member in members} == {stored.manifest.created_at.timestamp()}
    parts = {f"parts/{name}.csv.zst": content for name, content in stored.parts.items()}
    assert found == {"manifest.json": stored.manifest.text.encode(), **parts}


async def test_only_a_table_with_rows_has_a_part(exporter: httpx.AsyncClient, stored: Stored) -> None:
    for table in ("tickets", "unknown", "manifest.json", "%2e%2e", "%00"):
        response = await exporter.get(f"{stored.path}/parts/{table}")
        assert response.status_code == 404, table
    assert_problem(await exporter.get(f"{stored.path}/parts/tickets"), 404, "export-part-not-found")


async def test_each_fetch_is_in_the_audit_trail_once(exporter: httpx.AsyncClient, stored: Stored) -> None:
    size = len(stored.parts["users"])
    await exporter.get(f"{stored.path}/parts/users")
    await exporter.get(f"{stored.path}/parts/users", headers={"Range": "bytes=0-1"})
    await exporter.get(f"{stored.path}/content")
    # These need another scope, or got nothing.
    await exporter.get(f"{stored.path}/manifest")
    await exporter.get(stored.path)
    await exporter.get(f"{stored.path}/parts/users", headers={"Range": "bytes=9999-"})
    expected = [{"table": "users"}, {"table": "users", "range": f"bytes 0-1/{size}"}, {}]
    assert await recorded(exporter, stored, "export.fetch", len(expected)) == expected


async def test_a_link_to_a_part_in_a_bucket_needs_no_key(in_bucket: Storing, database: asyncpg.Connection) -> None:
    stored = await store_archive(database, in_bucket.store)
    async with in_bucket.gateway.client() as http:
        response = await http.get(f"{stored.path}/parts/users", params={"presigned": "true"})
        assert response.status_code == 200
        link = response.json()
        assert await recorded(http, stored, "export.fetch", 1) == [{"table": "users", "presigned": True}]
    expires_in = datetime.fromisoformat(link["expiresAt"]) - datetime.now(UTC)
    assert timedelta() < expires_in <= timedelta(minutes=15)
    async with httpx.AsyncClient() as anyone:
        assert (await anyone.get(link["url"])).content == stored.parts["users"]


async def test_a_folder_has_no_links(in_folder: Storing, database: asyncpg.Connection) -> None:
    stored = await store_archive(database, in_folder.store)
    async with in_folder.gateway.client() as http:
        response = await http.get(f"{stored.path}/parts/users", params={"presigned": "true"})
    assert_problem(response, 409, "presigned-unavailable")
