"""Finds exports, and reads the files of their archives."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.archive import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Manifest,
    ManifestInvalidError,
    Part,
    parse_manifest,
)
from activities.export.rows import ExportRecord, ExportState, find_export
from activities.export.storage import ArchiveStore, NotStoredError, StorageError
from activities.operations.queries import read_statuses
from app.auth.callers import Caller
from app.bounded_dict import BoundedDict
from app.database import database_errors
from app.exports import archive_store
from app.gateway.exports.problems import (
    ExportIncompleteError,
    ExportRemovedError,
    ExportsNotConfiguredError,
)
from app.gateway.exports.schemas import state_of
from app.gateway.http.problems.request_problems import ExportStorageOutageError
from app.gateway.http.streaming.streams import BrokenStreamError
from app.gateway.operations.problems import ExportDamagedError, ExportNotFoundError
from app.settings import Settings
from workflows.operations.statuses import OperationStatus

# Bytes that a download reads from the store at once.
PIECE = 1 << 20
# Of the newest archives; a download of all parts needs its manifest again and again.
MAX_CACHED_MANIFESTS = 8
# The folder of one attempt within an export's.
ATTEMPT = "[0-9A-Za-z-]+"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KnownExport:
    """An export, and the status of its operation unless that has no row any more."""

    record: ExportRecord
    status: OperationStatus | None

    @property
    def state(self) -> ExportState:
        """The state of the export."""
        return state_of(self.record, self.status)


@dataclass(frozen=True)
class Archive:
    """An archive that can be fetched; its manifest is the one that was recorded."""

    record: ExportRecord
    manifest: Manifest

    @property
    def parts(self) -> Iterator[Part]:
        """All parts, in the order of the manifest."""
        return (table.part for table in self.manifest.tables if table.part is not None)

    def path(self, part: Part) -> str:
        """Return the path of a part in the store."""
        return f"{self.record.folder}/{part.path}"


class Archives:
    """Exports as their rows have them, and their archives as they are in the store.

    Every method may raise `DatabaseUnavailableError`, and those that read the store `ExportStorageOutageError` or
    `ExportDamagedError`.
    """

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._store: ArchiveStore | None = None
        # By their hashes.
        self._manifests: BoundedDict[str, Manifest] = BoundedDict(MAX_CACHED_MANIFESTS)

    @property
    def store(self) -> ArchiveStore:
        """The store; raises `ExportsNotConfiguredError` if there is none."""
        if self._store is None:
            with _storage_problems():
                self._store = archive_store(self._settings, is_interactive=True)
        if self._store is None:
            raise ExportsNotConfiguredError
        return self._store

    def check_configured(self) -> None:
        """Raise `ExportsNotConfiguredError` if there is no store."""
        if self._settings.export_url is None:
            raise ExportsNotConfiguredError

    async def find(self, caller: Caller, export_id: UUID) -> KnownExport:
        """Return an export that the caller may see; raise `ExportNotFoundError` if there is none."""
        with database_errors():
            async with self._engine.connect() as connection:
                record = await find_export(connection, export_id)
                if record is None:
                    raise ExportNotFoundError
                if not caller.may_see(record.tenant_id):
                    raise ExportNotFoundError(is_denial=True)
                run = record.workflow_id, record.run_id
                return KnownExport(record, (await read_statuses(connection, [run])).get(run))

    async def find_kept(self, caller: Caller, export_id: UUID) -> ExportRecord:
        """Return an export whose archive can be fetched; raise `ProblemError` if there is none."""
        export = await self.find(caller, export_id)
        self.check_configured()
        if export.state is ExportState.EXPIRED:
            raise ExportRemovedError
        if export.state is not ExportState.COMPLETED:
            raise ExportIncompleteError(export.state)
        return export.record

    async def open(self, record: ExportRecord) -> Archive:
        """Return the archive of a kept export."""
        manifest = self._manifests.get(str(record.manifest_sha256))
        if manifest is None:
            content = await self.read_manifest(record)
            try:
                # The manifest of a large schema takes a while.
                manifest = await asyncio.to_thread(parse_manifest, content)
            except ManifestInvalidError as error:
                raise _damaged(record, str(error)) from None
            self._manifests[str(record.manifest_sha256)] = manifest
        if (manifest.export_id, manifest.tenant_id) != (str(record.export_id), record.tenant_id):
            raise _damaged(record, f"{MANIFEST} is that of another export")
        return Archive(record, manifest)

    async def read_manifest(self, record: ExportRecord) -> bytes:
        """Return the manifest of a kept export as it was written."""
        # The database may be in a stranger's hands.
        if re.fullmatch(f"{record.home}/{ATTEMPT}", str(record.folder)) is None:
            raise _damaged(record, "it is not in the folder of this export")
        with _reading(record, MANIFEST):
            path = f"{record.folder}/{MANIFEST}"
            content = b"".join([piece async for piece in self.store.read(path, end=MAX_MANIFEST_BYTES)])
        if hashlib.sha256(content).hexdigest() != record.manifest_sha256:
            raise _damaged(record, f"{MANIFEST} was changed")
        return content

    async def check_part(self, archive: Archive, part: Part) -> None:
        """Check that the store has the part, and in its size."""
        with _reading(archive.record, part.path):
            size = await self.store.size(archive.path(part))
        if size != part.bytes:
            raise _damaged(archive.record, f"{part.path} has {size} bytes instead of {part.bytes}")

    async def check_parts(self, archive: Archive) -> None:
        """Check that the store has every part, and in its size."""
        with _storage_problems():
            sizes = {file.path: file.size for file in await self.store.list(str(archive.record.folder))}
        for part in archive.parts:
            if sizes.get(archive.path(part)) != part.bytes:
                raise _damaged(archive.record, f"{part.path} is missing, or has not {part.bytes} bytes")

    async def read_part(
        self, archive: Archive, part: Part, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield bytes of a part from `start` to before `end`; raise `BrokenStreamError` if that is not possible."""
        try:
            async with aclosing(self.store.read(archive.path(part), start, end, read_size=PIECE)) as pieces:
                async for piece in pieces:
                    yield piece
        except (NotStoredError, StorageError) as error:
            raise BrokenStreamError(f"{part.path}: {error}") from None

    async def presign(self, archive: Archive, part: Part, seconds: int) -> str | None:
        """Return a link to a part; None if the store has no links."""
        with _reading(archive.record, part.path):
            return await self.store.presign(archive.path(part), seconds)

    async def delete(self, record: ExportRecord) -> None:
        """Remove all files of an export."""
        with _storage_problems():
            await self.store.delete_prefix(record.home)


@contextmanager
def _storage_problems() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        log.warning("the export storage is unavailable", reason=error.detail)
        raise ExportStorageOutageError from None


@contextmanager
def _reading(record: ExportRecord, name: str) -> Iterator[None]:
    with _storage_problems():
        try:
            yield
        except NotStoredError:
            raise _damaged(record, f"{name} is missing") from None


def _damaged(record: ExportRecord, detail: str) -> ExportDamagedError:
    log.error("an archive is damaged", export_id=str(record.export_id), reason=detail)
    return ExportDamagedError(detail)
