"""Where archives of tenants are kept, and for how long."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from app.settings.base import ProcessSettings
from app.settings.types import checked_by


def _export_url(value: str) -> None:
    parts = urlsplit(value)
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and parts.netloc
    if not (is_folder or is_bucket) or parts.query or parts.fragment:
        raise ValueError("must be a folder like file:///srv/exports, or a bucket like s3://bucket/prefix")


ExportUrl = Annotated[str, checked_by(_export_url)]


class ExportSettings(ProcessSettings):
    """The store of archives; gateways and workers share it."""

    export_url: ExportUrl | None = None
    """Folder (`file:///…`) or S3-compatible bucket (`s3://bucket/prefix`) of exports; without it, exports are
    refused. The variables `AWS_…` give the bucket's region, endpoint and credentials."""
    export_retention: float = Field(default=2_592_000.0, ge=3600)
    """Seconds that the archive of an export is kept."""
