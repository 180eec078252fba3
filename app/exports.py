"""Builds the store of archives from the settings."""

from datetime import timedelta

from activities.export.storage import ArchiveStore, open_store
from activities.tenants.export import KeptArchives
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "export manifests"


def archive_store(settings: Settings, *, is_interactive: bool = False) -> ArchiveStore | None:
    """Return the store of archives, or None without `EXPORT_URL`; raises `StorageError` if it can't be opened."""
    if settings.export_url is None:
        return None
    return open_store(settings.export_url, s3_options=settings.s3_options, is_interactive=is_interactive)


def kept_archives(settings: Settings) -> KeptArchives | None:
    """Return where archives are kept, or None without `EXPORT_URL`; raises `StorageError` if it can't be opened.

    The key of the manifests is that of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set.
    """
    store = archive_store(settings)
    if store is None:
        return None
    secret = settings.audit_secret or settings.nextauth_secret
    return KeptArchives(
        store=store,
        retention=timedelta(seconds=settings.export_retention),
        mac_key=derive_key(secret.get_secret_value(), PURPOSE),
    )
