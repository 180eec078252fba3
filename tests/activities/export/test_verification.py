"""Checks of archives that are damaged, incomplete, or not what they say."""

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from zstandard import ZstdCompressor

from activities.export.archive import Manifest, Part, parse_manifest, totals_of
from activities.export.csv_records import CsvRecords
from activities.export.storage import ArchiveStore, open_store
from activities.export.verification import Fault, verify_archive
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import content, exporter, new_folder, write_tenant

pytestmark = pytest.mark.anyio

KEY = b"a key"
Rewrite = Callable[[Manifest], Manifest]


def problems(faults: list[Fault]) -> dict[str, str]:
    """Return what is wrong, by file."""
    found: dict[str, str] = {}
    for fault in faults:
        found[fault.part] = "; ".join(filter(None, (found.get(fault.part), fault.problem)))
    return found


def rewrite(folder: Path, change: Rewrite) -> None:
    """Write another manifest."""
    file = folder / "a/manifest.json"
    file.write_text(change(parse_manifest(file.read_bytes())).text)


def replace_content(folder: Path, name: str, text: str) -> None:
    """Give a part another content, and a manifest that describes it."""
    plain = text.encode()
    packed = ZstdCompressor().compress(plain)

    def described(manifest: Manifest) -> Manifest:
        tables = []
        for table in manifest.tables:
            if table.name == name and table.part is not None:
                (folder / "a" / table.part.path).write_bytes(packed)
                part = Part(
                    path=table.part.path,
                    bytes=len(packed),
                    sha256=sha256(packed).hexdigest(),
                    content_bytes=len(plain),
                    content_sha256=sha256(plain).hexdigest(),
                )
                tables.append(table.model_copy(update={"part": part}))
            else:
                tables.append(table)
        return manifest.model_copy(update={"tables": tuple(tables), "totals": totals_of(tables)})

    rewrite(folder, described)


@pytest.fixture(scope="module")
async def original(database_url: str, engine: AsyncEngine, server_folder: Path) -> tuple[Path, Manifest]:
    """The folder of a small archive that no test changes, and its manifest."""
    tenant_id = await write_tenant(database_url, "plain", {"teams"})
    folder = new_folder(server_folder)
    return folder / "a", await exporter(engine, open_store(folder.as_uri()))(tenant_id, mac_key=KEY)


@pytest.fixture
def exported(original: tuple[Path, Manifest], folder: Path) -> Manifest:
    """The manifest of a small archive in folder `a`."""
    archive, manifest = original
    shutil.copytree(archive, folder / "a")
    return manifest


@ON_ONE_SHAPE
async def test_one_bit_in_each_part_is_noticed(exported: Manifest, store: ArchiveStore, folder: Path) -> None:
    assert await verify_archive(store, "a", manifest_sha256=exported.sha256, mac_key=KEY) == []
    whole = {
        table.part.path: (folder / "a" / table.part.path).read_bytes() for table in exported.tables if table.part
    }
    # In the header of the compressed file, in its content, and in its checksum.
    for place in (*range(0, 100, 7), *range(-9, 0)):
        for path, data in whole.items():
            damaged = bytearray(data)
            damaged[place % len(data)] ^= 1 << place % 8
            (folder / "a" / path).write_bytes(damaged)

        found = problems(await verify_archive(store, "a"))

        assert found.keys() == whole.keys(), place
        assert all("its SHA-256 is" in problem for problem in found.values())


@ON_ONE_SHAPE
async def test_missing_and_unknown_files_are_named(exported: Manifest, store: ArchiveStore, folder: Path) -> None:
    assert exported.totals.rows == 10
    shutil.copy(folder / "a/parts/teams.csv.zst", folder / "a/parts/other.csv.zst")
    (folder / "a/parts/users.csv.zst").unlink()
    (folder / "a/notes").touch()

    assert problems(await verify_archive(store, "a")) == {
        "notes": "the manifest does not name this file",
        "parts/other.csv.zst": "the manifest does not name this file",
        "parts/users.csv.zst": "the file is missing",
    }


@ON_ONE_SHAPE
async def test_a_changed_manifest_is_noticed_by_its_hash_and_its_mac(
    exported: Manifest, store: ArchiveStore, folder: Path
) -> None:
    rewrite(folder, lambda manifest: manifest.model_copy(update={"tenant_name": "Other"}))

    assert await verify_archive(store, "a") == []
    by_hash = problems(await verify_archive(store, "a", manifest_sha256=exported.sha256))
    assert by_hash == {"manifest.json": f"its SHA-256 is not {exported.sha256}: the manifest was changed"}
    assert "MAC is missing or wrong" in problems(await verify_archive(store, "a", mac_key=KEY))["manifest.json"]
    rewrite(folder, lambda manifest: manifest.signed(b"another key"))
    assert "MAC is missing or wrong" in problems(await verify_archive(store, "a", mac_key=KEY))["manifest.json"]


@ON_ONE_SHAPE
async def test_the_part_of_another_tenant_is_noticed(exported: Manifest, store: ArchiveStore, folder: Path) -> None:
    users = exported.table("users")
    assert users is not None
    assert users.part is not None
    other = str(uuid4())
    plain = content(folder / "a" / users.part.path).decode()
    replace_content(folder, "users", plain.replace(str(exported.tenant_id), other))

    expected = f"1 of its rows are another tenant's: {other}"
    assert problems(await verify_archive(store, "a")) == {"parts/users.csv.zst": expected}


@ON_ONE_SHAPE
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{header}\n{row}\n{row}\n", "it has 2 rows, not 1"),
        ("{header}\n", "it has 0 rows, not 1"),
        ("{header},extra\n{row}\n", "it has other columns than the table: with extra"),
        ("{row}\n", "it has other columns than the table: without"),
        ("{header}\n{row},x\n", "1 of its rows don't have"),
        ('{header}\n{row}\n"open\n', "it is no valid CSV: the last record is not complete"),
        ('{header}\n{row}\n"a"b,c\n', "it is no valid CSV: ',' expected after '\"'"),
        ("", "it has 0 rows, not 1"),
    ],
)
async def test_a_part_that_is_not_the_table_is_noticed(
    exported: Manifest, store: ArchiveStore, folder: Path, text: str, problem: str
) -> None:
    assert exported.totals.rows == 10
    header, row, _ = content(folder / "a/parts/teams.csv.zst").decode().split("\n")
    replace_content(folder, "teams", text.format(header=header, row=row))

    found = problems(await verify_archive(store, "a"))

    assert found.keys() == {"parts/teams.csv.zst"}
    assert problem in found["parts/teams.csv.zst"]


@ON_ONE_SHAPE
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m.model_copy(update={"tables": m.tables + m.tables[:1]}), "is there 2 times"),
        (lambda m: m.model_copy(update={"totals": totals_of([])}), "the totals are not the sums of the tables"),
        (lambda m: m.model_copy(update={"format_version": 2}), "has format version 2, not 1"),
        (lambda m: m.model_copy(update={"schema_fingerprint": "x"}), "has no valid schemaFingerprint"),
        (lambda m: moved(m, "../../elsewhere"), "has another path than parts/teams.csv.zst"),
    ],
)
async def test_a_manifest_that_contradicts_itself_is_noticed(
    exported: Manifest, store: ArchiveStore, folder: Path, change: Rewrite, problem: str
) -> None:
    assert exported.totals.tables == 10
    rewrite(folder, change)

    assert problem in problems(await verify_archive(store, "a"))["manifest.json"]


def moved(manifest: Manifest, path: str) -> Manifest:
    tables = tuple(
        table.model_copy(update={"part": table.part.model_copy(update={"path": path})})
        if table.name == "teams" and table.part
        else table
        for table in manifest.tables
    )
    return manifest.model_copy(update={"tables": tables})


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"formatVersion":1,"formatVersion":1}', "{}", "\x00"])
async def test_a_manifest_that_can_not_be_read_is_the_only_fault(store: ArchiveStore, text: str) -> None:
    async with store.write("a/manifest.json") as file:
        await file.write(text.encode())

    assert problems(await verify_archive(store, "a")).keys() == {"manifest.json"}


async def test_an_archive_that_is_not_there_is_named(store: ArchiveStore) -> None:
    assert "the file is missing" in problems(await verify_archive(store, "a"))["manifest.json"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_records_are_found_whatever_the_blocks(size: int) -> None:
    text = 'a,b\n1,"two\nlines, and ""quotes"""\n,""\n"\n\n",é\n'.encode()
    records = CsvRecords()

    found = [record for start in range(0, len(text), size) for record in records.feed(text[start : start + size])]

    records.end()
    assert found == [["a", "b"], ["1", 'two\nlines, and "quotes"'], ["", ""], ["\n\n", "é"]]
