"""All settings, read from the environment (or from files named like them in `SECRETS_DIR`)."""

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from activities.operations.retention import Retention
from app.settings.base import SettingsError
from app.settings.database import DatabaseSettings
from app.settings.exports import ExportSettings
from app.settings.gateway import GatewaySettings
from app.settings.mail import MailSettings
from app.settings.oidc import OidcSettings
from app.settings.operations import OperationSettings
from app.settings.secrets import SecretSettings
from app.settings.telemetry import TelemetrySettings
from app.settings.temporal import HistorySettings, TemporalSettings
from app.settings.types import split_list, sqlalchemy_url
from app.settings.webhooks import WebhookSettings

__all__ = [
    "DatabaseSettings",
    "HistorySettings",
    "Settings",
    "SettingsError",
    "TemporalSettings",
    "split_list",
    "sqlalchemy_url",
]


class Settings(
    SecretSettings,
    OidcSettings,
    TelemetrySettings,
    GatewaySettings,
    MailSettings,
    ExportSettings,
    WebhookSettings,
    OperationSettings,
    DatabaseSettings,
    TemporalSettings,
):
    """The settings of every process; a process reads them once, at its start."""

    @model_validator(mode="after")
    def _check_redirect_uri(self) -> Self:
        if self.oidc_client_id is not None and self.public_url is None:
            raise ValueError(
                "PUBLIC_URL is not set; OIDC_CLIENT_ID requires it, because the provider leads back there"
            )
        return self

    @property
    def retention(self) -> Retention:
        """How long rows of our own tables are kept."""
        return Retention(
            operations=timedelta(seconds=self.operation_retention),
            idempotency_keys=timedelta(seconds=self.idempotency_key_retention),
            events=timedelta(seconds=self.event_retention),
        )
