"""Takes an archive of another installation into the store, so that its tenant can be restored here."""

from collections.abc import Sequence
from uuid import uuid4

from activities.export.archive import MANIFEST, Manifest, archive_folder
from activities.export.storage import ArchiveStore
from activities.export.verification import Fault, read_manifest, verify_archive


class ImportRefusedError(Exception):
    """The archive is damaged; nothing was stored."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, faults)))


async def import_archive(
    source: ArchiveStore, folder: str, store: ArchiveStore, *, manifest_sha256: str, mac_key: bytes
) -> tuple[Manifest, str]:
    """Verify an archive by the hash of its manifest, copy it, and return its manifest with our MAC, and its folder.

    Raises `ImportRefusedError`, or `StorageError`; nothing was stored then.
    """
    faults = await verify_archive(source, folder, manifest_sha256=manifest_sha256)
    manifest, _ = await read_manifest(source, folder)
    if faults or manifest is None:
        raise ImportRefusedError(faults)
    manifest = manifest.signed(mac_key)
    target = archive_folder(manifest.tenant_id, manifest.export_id, uuid4().hex)
    try:
        for table in manifest.tables:
            if table.part is not None:
                async with store.write(f"{target}/{table.part.path}") as file:
                    async for piece in source.read(f"{folder}/{table.part.path}"):
                        await file.write(piece)
        async with store.write(f"{target}/{MANIFEST}") as file:
            await file.write(manifest.text.encode())
        await store.persist(target)
    except BaseException:
        await store.delete_prefix(target)
        raise
    return manifest, target
