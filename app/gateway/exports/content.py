"""The content of archives: single parts, and all files as one tar."""

import tarfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from activities.audit.events import Action, Json
from activities.export.archive import MANIFEST, Part
from activities.export.rows import ExportRecord
from app.audit.recorder import AuditRecorder
from app.auth.callers import Caller, Requester
from app.gateway.exports.archives import Archive, Archives
from app.gateway.exports.problems import ExportPartNotFoundError, PresignedUnavailableError
from app.gateway.exports.schemas import PresignedDocument
from app.gateway.http.streaming.ranges import ByteRange, requested_range
from app.gateway.http.streaming.streams import verified

PRESIGNED_SECONDS = 900
TAR_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class PartContent:
    """A part, or a range of it, that is read while it is sent."""

    part: Part
    span: ByteRange | None
    chunks: AsyncGenerator[bytes]

    @property
    def tag(self) -> str:
        """The ETag."""
        return f'"{self.part.sha256}"'


@dataclass(frozen=True)
class TarContent:
    """An archive as a tar of that many bytes, which is made while it is sent."""

    size: int
    chunks: AsyncGenerator[bytes]


@dataclass(frozen=True, repr=False)
class ExportContent:
    """Reads archives for callers, and records who has fetched what.

    No method holds a database connection while it reads. All raise `ProblemError` if there is no such export for the
    caller, it has no archive, or that is damaged; and `DatabaseUnavailableError`.
    """

    archives: Archives
    recorder: AuditRecorder

    async def manifest(self, caller: Caller, export_id: UUID) -> tuple[bytes, str]:
        """Return the manifest as it was written, and its hash."""
        record = await self.archives.find_kept(caller, export_id)
        return await self.archives.read_manifest(record), str(record.manifest_sha256)

    async def part(
        self, requester: Requester, export_id: UUID, table: str, wanted: str | None, if_range: str | None
    ) -> PartContent:
        """Return the part of a table; `wanted` and `if_range` are the headers `Range` and `If-Range`.

        The last bytes of a whole part are only sent if all of it has the hash of the manifest.
        """
        archive, part = await self._find(requester, export_id, table)
        is_current = if_range is None or if_range.strip() == f'"{part.sha256}"'
        span = requested_range(wanted, part.bytes) if is_current else None
        await self.archives.check_part(archive, part)
        shown: dict[str, Json] = {"range": span.content_range} if span is not None else {}
        await self._record(requester, archive.record, table=table, **shown)
        if span is None:
            return PartContent(part, None, verified(self.archives.read_part(archive, part), part.sha256))
        return PartContent(part, span, self.archives.read_part(archive, part, span.start, span.end))

    async def presigned(self, requester: Requester, export_id: UUID, table: str) -> PresignedDocument:
        """Return a link to the part of a table; raise `PresignedUnavailableError` if the store is a folder."""
        archive, part = await self._find(requester, export_id, table)
        await self.archives.check_part(archive, part)
        expires_at = datetime.now(UTC) + timedelta(seconds=PRESIGNED_SECONDS)
        url = await self.archives.presign(archive, part, PRESIGNED_SECONDS)
        if url is None:
            raise PresignedUnavailableError
        await self._record(requester, archive.record, table=table, presigned=True)
        return PresignedDocument(url=url, expires_at=expires_at)

    async def tar(self, requester: Requester, export_id: UUID) -> TarContent:
        """Return the manifest and all parts as a tar; no part ends in it that does not have its hash."""
        record = await self.archives.find_kept(requester.caller, export_id)
        archive = await self.archives.open(record)
        await self.archives.check_parts(archive)
        manifest = await self.archives.read_manifest(record)
        await self._record(requester, record)
        created_at = archive.manifest.created_at
        headers = {name: _header(name, size, created_at) for name, size in _files(archive, manifest)}
        size = sum(len(headers[name]) + size + _padding(size) for name, size in _files(archive, manifest))
        return TarContent(size + len(TAR_END), self._tar(archive, manifest, headers))

    async def _tar(self, archive: Archive, manifest: bytes, headers: dict[str, bytes]) -> AsyncGenerator[bytes]:
        yield headers[MANIFEST] + manifest + bytes(_padding(len(manifest)))
        for part in archive.parts:
            yield headers[part.path]
            async with aclosing(verified(self.archives.read_part(archive, part), part.sha256)) as chunks:
                async for chunk in chunks:
                    yield chunk
            yield bytes(_padding(part.bytes))
        yield TAR_END

    async def _find(self, requester: Requester, export_id: UUID, table: str) -> tuple[Archive, Part]:
        record = await self.archives.find_kept(requester.caller, export_id)
        archive = await self.archives.open(record)
        found = archive.manifest.table(table)
        if found is None or found.part is None:
            raise ExportPartNotFoundError
        return archive, found.part

    async def _record(self, requester: Requester, record: ExportRecord, **details: Json) -> None:
        event = requester.audit_event(
            Action.EXPORT_FETCH,
            workflow_id=record.workflow_id,
            tenant_id=record.tenant_id,
            subject=str(record.export_id),
            details=details,
        )
        await self.recorder.record_throttled(event)


def _files(archive: Archive, manifest: bytes) -> list[tuple[str, int]]:
    return [(MANIFEST, len(manifest)), *((part.path, part.bytes) for part in archive.parts)]


def _header(name: str, size: int, modified_at: datetime) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(modified_at.timestamp()), 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE
