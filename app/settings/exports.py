"""Where archives of tenants are kept, and for how long."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from app.settings.base import ProcessSettings
from app.settings.types import checked_by, is_protected_url


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
    refused."""
    export_retention: float = Field(default=2_592_000.0, ge=3600)
    """Seconds that the archive of an export is kept."""
    aws_access_key_id: str | None = Field(default=None, min_length=1)
    """Access key of the bucket. Without one, the role of the pod or the machine is used."""
    aws_secret_access_key: SecretStr | None = Field(default=None, min_length=1)
    """Its secret."""
    aws_session_token: SecretStr | None = Field(default=None, min_length=1)
    """Its session token, if the key is a temporary one. Processes read it when they start."""
    aws_region: str | None = Field(default=None, min_length=1)
    """Region of the bucket (default: `us-east-1`)."""
    aws_endpoint_url: str | None = None
    """Address of an S3-compatible store other than S3 itself, like `https://minio.example.com`."""
    aws_allow_http: bool = False
    """`true` allows an `AWS_ENDPOINT_URL` with `http`. Archives then cross the network in clear."""

    @property
    def s3_options(self) -> dict[str, str]:
        """The settings of the bucket by their names; a store reads other variables `AWS_…` itself."""
        names = (
            "aws_access_key_id",
            "aws_secret_access_key",
            "aws_session_token",
            "aws_region",
            "aws_endpoint_url",
        )
        values = {name: getattr(self, name) for name in names}
        allowed = {"aws_allow_http": "true"} if self.aws_allow_http else {}
        return allowed | {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in values.items()
            if value is not None
        }

    @model_validator(mode="after")
    def _check_bucket(self) -> Self:
        if self.export_url is None or not self.export_url.startswith("s3:"):
            return self
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            missing = "AWS_ACCESS_KEY_ID" if self.aws_access_key_id is None else "AWS_SECRET_ACCESS_KEY"
            raise ValueError(f"{missing} is not set: an access key needs its secret, and a secret its key")
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ValueError("AWS_ACCESS_KEY_ID is not set: AWS_SESSION_TOKEN needs the key that it belongs to")
        url = self.aws_endpoint_url
        if url is not None and not is_protected_url(url, allow_http=True):
            raise ValueError("AWS_ENDPOINT_URL: must be a URL like https://minio.example.com, without credentials")
        if url is not None and urlsplit(url).scheme == "http" and not self.aws_allow_http:
            raise ValueError("AWS_ENDPOINT_URL: has no TLS; use https, or set AWS_ALLOW_HTTP to true")
        return self
