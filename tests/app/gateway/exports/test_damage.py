"""An archive that was changed or lost behind the service's back is reported, and never passed off as whole."""

import asyncpg
import httpx
import pytest

from app.embedded.processes.ports import free_port
from app.settings import Settings
from tests.app.gateway.exports.archived import TABLES, Stored, incompressible, store_archive
from tests.app.gateway.exports.conftest import Storing
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

FETCHED = ("manifest", "parts/users", "content")


def flipped(content: bytes) -> bytes:
    """Return the content with one bit changed in its middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


async def test_a_missing_part_is_reported(exporter: httpx.AsyncClient, storing: Storing, stored: Stored) -> None:
    storing.files.delete(stored.part("users"))
    for path in ("parts/users", "parts/users?presigned=true", "content"):
        response = await exporter.get(f"{stored.path}/{path}")
        assert_problem(response, 502, "export-damaged")
        assert "parts/users.csv.zst" in response.json()["detail"]
    assert (await exporter.get(f"{stored.path}/parts/tenants")).content == stored.parts["tenants"]


async def test_a_part_of_another_size_is_reported(
    exporter: httpx.AsyncClient, storing: Storing, stored: Stored
) -> None:
    storing.files.put(stored.part("users"), stored.parts["users"] + b"x")
    for path in ("parts/users", "content"):
        assert_problem(await exporter.get(f"{stored.path}/{path}"), 502, "export-damaged")


async def test_a_part_with_another_content_breaks_off_before_its_end(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection
) -> None:
    stored = await store_archive(database, storing.store, {**TABLES, "documents": incompressible(2_500_000)})
    storing.files.put(stored.part("documents"), flipped(stored.parts["documents"]))
    for path in ("parts/documents", "content"):
        async with exporter.stream("GET", f"{stored.path}/{path}") as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
                await response.aread()
            assert 0 < response.num_bytes_downloaded < int(response.headers["content-length"])


async def test_a_changed_manifest_is_reported(exporter: httpx.AsyncClient, storing: Storing, stored: Stored) -> None:
    storing.files.put(stored.file("manifest.json"), stored.manifest.text.replace("Acme", "Acne").encode())
    for path in FETCHED:
        response = await exporter.get(f"{stored.path}/{path}")
        assert_problem(response, 502, "export-damaged")
        assert "manifest.json was changed" in response.json()["detail"]
    shown = (await exporter.get(stored.path)).json()
    assert (shown["state"], shown["manifest"], shown["manifestProblem"]) == ("completed", None, "export-damaged")


async def test_a_row_that_names_the_archive_of_another_tenant_gives_nothing_away(
    exporter: httpx.AsyncClient, storing: Storing, database: asyncpg.Connection, stored: Stored
) -> None:
    other = await store_archive(database, storing.store)
    change = "UPDATE alga_tenants.exports SET folder = $2, manifest_sha256 = $3 WHERE export_id = $1"
    await database.execute(change, stored.export_id, other.folder, other.manifest.sha256)
    for path in FETCHED:
        assert_problem(await exporter.get(f"{stored.path}/{path}"), 502, "export-damaged")
    copied = f"{other.tenant_id}/{other.export_id}"
    await database.execute(change, stored.export_id, f"{stored.folder}/../../../{copied}", other.manifest.sha256)
    for path in FETCHED:
        assert_problem(await exporter.get(f"{stored.path}/{path}"), 502, "export-damaged")


async def test_a_store_that_is_away_is_an_outage(
    settings: Settings,
    api_key: str,
    in_bucket: Storing,
    database: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = await store_archive(database, in_bucket.store)
    configured = settings.model_copy(update={"export_url": "s3://exports"})
    with monkeypatch.context() as patch, RunningGateway(configured, api_key) as gateway:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        async with gateway.client() as http:
            for path in FETCHED:
                response = await http.get(f"{stored.path}/{path}")
                assert_problem(response, 503, "export-storage-unavailable")
                assert "127.0.0.1" not in response.text
            shown = (await http.get(stored.path)).json()
            assert (shown["state"], shown["manifestProblem"]) == ("completed", "export-storage-unavailable")
            assert_problem(await http.delete(stored.path), 503, "export-storage-unavailable")
            # It is no longer served, and the next request removes its files.
            assert (await http.get(stored.path)).json()["state"] == "expired"
    async with in_bucket.gateway.client() as http:
        assert (await http.delete(stored.path)).json()["removedAt"] is not None
    assert await in_bucket.store.list(stored.folder) == ()
