"""Builds the store of archives from the settings."""

from datetime import timedelta

from activities.export.storage import open_store
from activities.tenants.export import KeptArchives
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "export manifests"


def kept_archives(settings: Settings) -> KeptArchives | None:
    """Return where archives are kept, or None without `EXPORT_URL`; raises `StorageError` if it can't be opened.

    The key of the manifests is that of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set.
    """
    if settings.export_url is None:
        return None
    secret = settings.audit_secret or settings.nextauth_secret
    return KeptArchives(
        store=open_store(settings.export_url),
        retention=timedelta(seconds=settings.export_retention),
        mac_key=derive_key(secret.get_secret_value(), PURPOSE),
    )
