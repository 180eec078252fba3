"""Checks an archive without a database: that it is whole, unchanged, and of one tenant."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

from activities.export.archive import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    ArchivedTable,
    Manifest,
    ManifestInvalidError,
    Part,
    parse_manifest,
    part_path,
    totals_of,
)
from activities.export.csv_records import CsvInvalidError, CsvRecords
from activities.export.storage import ArchiveStore, NotStoredError
from activities.export.unpacking import PartDamagedError, PartReader

MAX_SHOWN = 100


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of an archive; `part` is its path within the archive."""

    part: str
    problem: str

    def __str__(self) -> str:
        return f"{self.part}: {self.problem}"


async def verify_archive(
    store: ArchiveStore, folder: str, *, manifest_sha256: str | None = None, mac_key: bytes | None = None
) -> list[Fault]:
    """Return everything that is wrong with the archive; an empty list means that it can be trusted.

    Without `manifest_sha256` and `mac_key` the parts are compared with a manifest that anyone may have written.
    Raises `StorageError` if the archive can't be read.
    """
    manifest, faults = await read_manifest(store, folder, manifest_sha256=manifest_sha256, mac_key=mac_key)
    if manifest is None:
        return faults
    faults += _inconsistencies(manifest)
    expected = {table.part.path: table for table in manifest.tables if table.part is not None}
    prefix = f"{folder.strip('/')}/"
    stored = {file.path.removeprefix(prefix) for file in await store.list(folder)}
    faults += [Fault(path, "the manifest does not name this file") for path in sorted(stored - {MANIFEST, *expected})]
    for path, table in sorted(expected.items()):
        # Another path is one of the inconsistencies.
        if path == part_path(table.name):
            faults += await _check_part(store, folder, path, table, manifest)
    return faults


async def read_manifest(
    store: ArchiveStore, folder: str, *, manifest_sha256: str | None = None, mac_key: bytes | None = None
) -> tuple[Manifest | None, list[Fault]]:
    """Return the manifest, None if it can't be read, and what is wrong with it."""
    try:
        if (size := await store.size(f"{folder}/{MANIFEST}")) > MAX_MANIFEST_BYTES:
            return None, [Fault(MANIFEST, f"it has {size} bytes, more than {MAX_MANIFEST_BYTES}")]
        file = b"".join([piece async for piece in store.read(f"{folder}/{MANIFEST}")])
    except NotStoredError:
        return None, [Fault(MANIFEST, "the file is missing: the export was not completed, or the archive is removed")]
    faults = []
    if manifest_sha256 is not None and sha256(file).hexdigest() != manifest_sha256:
        faults.append(Fault(MANIFEST, f"its SHA-256 is not {manifest_sha256}: the manifest was changed"))
    try:
        manifest = parse_manifest(file)
    except ManifestInvalidError as error:
        return None, [*faults, Fault(MANIFEST, str(error))]
    if mac_key is not None and not manifest.has_mac_of(mac_key):
        faults.append(Fault(MANIFEST, "its MAC is missing or wrong: it was changed, or written with another key"))
    return manifest, faults


def _inconsistencies(manifest: Manifest) -> Iterator[Fault]:
    for name, count in Counter(table.name for table in manifest.tables).items():
        if count > 1:
            yield Fault(MANIFEST, f"table {name} is there {count} times")
    for table in manifest.tables:
        if (table.part is None) != (table.rows == 0):
            yield Fault(MANIFEST, f"table {table.name} has {table.rows} rows and {'no' if table.rows else 'a'} part")
        if table.part is not None and table.part.path != part_path(table.name):
            yield Fault(MANIFEST, f"the part of table {table.name} has another path than {part_path(table.name)}")
        if table.tenant_column is not None and table.tenant_column not in {column.name for column in table.columns}:
            yield Fault(MANIFEST, f"table {table.name} has no tenant column {table.tenant_column}")
    if totals_of(manifest.tables) != manifest.totals:
        yield Fault(MANIFEST, "the totals are not the sums of the tables")


async def _check_part(
    store: ArchiveStore, folder: str, path: str, table: ArchivedTable, manifest: Manifest
) -> list[Fault]:
    reader, content = PartReader(store, f"{folder}/{path}"), _Content(table, str(manifest.tenant_id))
    problems: list[str] = []
    try:
        async with aclosing(reader.blocks()) as blocks:
            async for block in blocks:
                await asyncio.to_thread(content.feed, block)
        content.end()
    except NotStoredError:
        return [Fault(path, "the file is missing")]
    except PartDamagedError as error:
        problems.append(f"it can't be decompressed: {error}")
    except CsvInvalidError as error:
        problems.append(f"it is no valid CSV: {error}")
    if table.part is not None:
        problems += _differences(table.part, reader.part)
    return [Fault(path, problem) for problem in (*problems, *content.problems)]


def _differences(expected: Part, found: Part) -> Iterator[str]:
    if found.bytes != expected.bytes:
        yield f"it has {found.bytes} bytes, not {expected.bytes}"
    if found.sha256 != expected.sha256:
        yield f"its SHA-256 is {found.sha256}, not {expected.sha256}"
    if found.content_bytes != expected.content_bytes:
        yield f"its content has {found.content_bytes} bytes, not {expected.content_bytes}"
    if found.content_sha256 != expected.content_sha256:
        yield f"the SHA-256 of its content is {found.content_sha256}, not {expected.content_sha256}"


class _Content:
    """Compares the records of a part with what the manifest says about its table."""

    def __init__(self, table: ArchivedTable, tenant_id: str) -> None:
        self._table = table
        self._tenant_id = tenant_id
        self._names = [column.name for column in table.columns]
        self._place = self._names.index(table.tenant_column) if table.tenant_column in self._names else None
        self._records = CsvRecords()
        self._has_header = False
        self._rows = 0
        self._other_widths = 0
        self._other_tenants: Counter[str] = Counter()
        self._problems: list[str] = []

    def feed(self, block: bytes) -> None:
        """Take the next block of the CSV."""
        for record in self._records.feed(block):
            if not self._has_header:
                self._check_header(record)
            elif len(record) != len(self._names):
                self._other_widths += 1
            else:
                self._rows += 1
                if self._place is not None and record[self._place] != self._tenant_id:
                    self._other_tenants[record[self._place]] += 1

    def end(self) -> None:
        """Raise `CsvInvalidError` if the last record is not complete."""
        self._records.end()

    @property
    def problems(self) -> Iterator[str]:
        """What is wrong with the records so far."""
        yield from self._problems
        if self._other_widths:
            yield f"{self._other_widths} of its rows don't have {len(self._names)} values"
        if self._rows != self._table.rows:
            yield f"it has {self._rows} rows, not {self._table.rows}"
        if self._other_tenants:
            shown = ", ".join(_shown(tenant) for tenant, _ in self._other_tenants.most_common(3))
            yield f"{self._other_tenants.total()} of its rows are another tenant's: {shown}"

    def _check_header(self, names: list[str]) -> None:
        self._has_header = True
        if names != self._names:
            missing, unknown = set(self._names) - set(names), set(names) - set(self._names)
            details = [f"without {', '.join(sorted(missing))}"] if missing else []
            details += [f"with {', '.join(map(_shown, sorted(unknown)))}"] if unknown else []
            self._problems.append(
                f"it has other columns than the table: {' and '.join(details) or 'in another order'}"
            )


def _shown(text: str) -> str:
    """Return a text that may hold anything, for a message."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:MAX_SHOWN] or "none"
