"""Exports and restores by the command line, from the request to the removal, with mistakes on the way."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.auth.scopes import Scope
from tests.e2e.conftest import Service
from tests.e2e.deletions.test_deletion import delete
from tests.e2e.exports.conftest import Bucket, CommandLine
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Exported:
    """A complete export with the tenant's secrets."""

    tenant_id: str
    id: str
    sha256: str


async def exported(service: Service, command_line: CommandLine) -> Exported:
    """Create a tenant and export it."""
    tenant_id = (await service.provision(tenantName="Ärztehaus Süd GmbH & Co. KG"))["tenantId"]
    ran = await command_line.run("exports", "create", tenant_id, "--include-secrets", "--reason", "move", "--json")
    assert ran.code == 0, ran.stderr
    shown = (await command_line.run("exports", "show", ran.document["result"]["exportId"], "--json")).document
    assert (shown["state"], shown["reason"]) == ("completed", "move")
    return Exported(tenant_id, shown["exportId"], shown["manifestSha256"])


@pytest.fixture(scope="module")
async def export(service: Service, command_line: CommandLine) -> Exported:
    return await exported(service, command_line)


async def test_an_archive_is_listed_fetched_verified_restored_and_removed(
    service: Service, database: asyncpg.Connection, bucket: Bucket, tmp_path: Path
) -> None:
    command_line = bucket.command_line
    export = await exported(service, command_line)
    listed = (await command_line.run("exports", "list", export.tenant_id, "--json")).document["exports"]
    assert [item["exportId"] for item in listed] == [export.id]
    folder = str(tmp_path / "archive")
    verify = ("exports", "verify", folder, "--manifest-sha256", export.sha256)
    assert (await command_line.run("exports", "download", export.id, folder)).code == 0
    assert (await command_line.run(*verify)).code == 0

    part = _damage(tmp_path / "archive")
    damaged = await command_line.run(*verify, "--json")
    assert (damaged.code, damaged.document["verified"]) == (1, False)
    assert {fault["file"] for fault in damaged.document["faults"]} == {f"parts/{part}"}
    assert (await command_line.run("exports", "download", export.id, folder)).code == 0
    assert (await command_line.run(*verify)).code == 0

    assert (await command_line.run("restores", "create", export.id)).code == 7
    deletion = await delete(service, export.tenant_id, gracePeriodDays=0, confirm=True)
    assert (await service.finished(deletion["workflowId"]))["status"] == "completed"
    folder = await database.fetchval("SELECT folder FROM alga_tenants.exports WHERE export_id = $1", UUID(export.id))
    part = f"kept/{folder}/parts/{part}"
    content = bytes((await bucket.store.get_async(part)).bytes())
    await bucket.store.put_async(part, _flipped(content))
    refused = await command_line.run("restores", "create", export.id, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "restore-refused"), refused.stdout
    assert await row_counts(database, export.tenant_id) == {}
    await bucket.store.put_async(part, content)
    tried = await command_line.run("restores", "create", export.id, "--dry-run", "--json")
    assert (tried.code, tried.document["result"]["refusals"]) == (0, []), tried.stderr
    restored = await command_line.run("restores", "create", export.id, "--json")
    assert (restored.code, restored.document["result"]["tenantId"]) == (0, export.tenant_id), restored.stderr
    repeated = await command_line.run("restores", "create", export.id, "--json")
    assert (repeated.code, repeated.document["error"]["code"]) == (7, "tenant-exists")

    for _ in range(2):
        removed = await command_line.run("exports", "delete", export.id, "--yes", "--json")
        assert (removed.code, removed.document["state"]) == (0, "expired")
    for command in (
        ("exports", "download", export.id, str(tmp_path / "again")),
        ("restores", "create", export.id),
    ):
        gone = await command_line.run(*command, "--json")
        assert (gone.code, gone.document["error"]["code"]) == (7, "export-removed")


async def test_mistakes_have_exit_statuses_of_their_own(
    command_line: CommandLine, export: Exported, tmp_path: Path
) -> None:
    unknown, file = str(uuid4()), tmp_path / "file"
    await asyncio.to_thread(file.write_text, "mine")
    for command in ("exports show", "exports download", "restores create"):
        ran = await command_line.run(*command.split(), unknown, "--json")
        assert (ran.code, ran.document["error"]["code"]) == (4, "export-not-found"), command
    assert (await command_line.run("exports", "show", "no-uuid")).code == 4
    misspelt = await command_line.run("restores", "create", "no-uuid")
    assert (misspelt.code, "EXPORT" in misspelt.stderr) == (2, True), misspelt.stderr
    assert (await command_line.run("exports", "delete", unknown, "--yes")).code == 4
    assert (await command_line.run("exports", "delete", export.id)).code == 2
    assert (await command_line.run("exports", "create", unknown)).code == 4
    assert (await command_line.run("exports", "list", unknown)).code == 4
    assert (await command_line.run("exports", "create", export.tenant_id, "--reason", "")).code == 2
    assert (await command_line.run("exports", "list", export.tenant_id, "--limit", "0")).code == 2
    in_the_way = await command_line.run("exports", "download", export.id, str(file))
    assert (in_the_way.code, "can't be written" in in_the_way.stderr) == (2, True)
    assert await asyncio.to_thread(file.read_text) == "mine"
    assert (await command_line.run("exports", "verify", str(file))).code == 2
    assert (await command_line.run("exports", "verify", str(tmp_path / "none"))).code == 2


async def test_a_key_needs_the_scopes(
    service: Service, command_line: CommandLine, export: Exported, tmp_path: Path
) -> None:
    created = await service.http.post("/api-keys", json={"name": "reader", "scopes": [Scope.TENANTS_READ]})
    reader = created.json()["key"]
    assert (await command_line.run("exports", "show", export.id, key=reader)).code == 0
    for command in (
        ("exports", "create", export.tenant_id),
        ("exports", "download", export.id, str(tmp_path / "a")),
        ("exports", "delete", export.id, "--yes"),
        ("restores", "create", export.id),
    ):
        ran = await command_line.run(*command, "--json", key=reader)
        assert (ran.code, ran.document["error"]["status"]) == (6, 403), command
    assert (await command_line.run("exports", "show", export.id, key="at_unknown")).code == 6


async def test_a_full_disk_is_named_and_the_download_continues(
    command_line: CommandLine, export: Exported, tmp_path: Path
) -> None:
    partial = tmp_path / "parts/users.csv.zst.partial"
    partial.parent.mkdir()
    # A device that is always full.
    partial.symlink_to("/dev/full")
    ran = await command_line.run("exports", "download", export.id, str(tmp_path), "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "file-error")
    assert "No space left on device" in ran.stderr
    partial.unlink()
    assert (await command_line.run("exports", "download", export.id, str(tmp_path))).code == 0


async def test_output_fits_the_terminal(command_line: CommandLine, export: Exported) -> None:
    listed = await command_line.shown_at(80, "exports", "list", export.tenant_id)
    shown = await command_line.shown_at(80, "exports", "show", export.id)
    for line in (*listed, *shown):
        assert len(line) <= 80, line
    assert any(export.id in line for line in listed)
    assert any(export.sha256 in line for line in shown)


def _damage(folder: Path) -> str:
    """Change one bit of the largest part, and return its name."""
    part = max((folder / "parts").iterdir(), key=lambda file: file.stat().st_size)
    part.write_bytes(_flipped(part.read_bytes()))
    return part.name


def _flipped(content: bytes) -> bytes:
    """Return the content with one bit changed in its middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
