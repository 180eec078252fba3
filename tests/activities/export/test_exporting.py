"""Exports of a tenant with a row in every table."""

import csv
import hashlib
import io
from pathlib import Path
from uuid import UUID

import pytest

from activities.export.archive import parse_manifest
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import Export, content

pytestmark = pytest.mark.anyio


def described(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


async def test_an_archive_has_every_row_and_describes_each_part(
    full_tenant: UUID, export: Export, folder: Path
) -> None:
    manifest = await export(full_tenant)

    assert parse_manifest((folder / "a/manifest.json").read_bytes()) == manifest
    assert len(manifest.tables) > 450
    for table in manifest.tables:
        assert table.rows == 1, table.name
        assert table.part is not None
        packed = (folder / "a" / table.part.path).read_bytes()
        assert (len(packed), hashlib.sha256(packed).hexdigest()) == (table.part.bytes, table.part.sha256)
        plain = content(folder / "a" / table.part.path)
        assert (len(plain), hashlib.sha256(plain).hexdigest()) == (
            table.part.content_bytes,
            table.part.content_sha256,
        )
        header, row = csv.reader(io.StringIO(plain.decode()))
        assert header == [column.name for column in table.columns]
        if table.tenant_column:
            assert row[header.index(table.tenant_column)] == str(full_tenant)


@ON_ONE_SHAPE
async def test_a_second_export_has_equal_parts(full_tenant: UUID, export: Export, folder: Path) -> None:
    first, second = await export(full_tenant), await export(full_tenant, "b")

    assert first.tables == second.tables
    names = sorted(path.name for path in (folder / "a/parts").iterdir())
    assert names == sorted(path.name for path in (folder / "b/parts").iterdir())
    assert all((folder / "a/parts" / name).read_bytes() == (folder / "b/parts" / name).read_bytes() for name in names)
