"""What is needed to reach Temporal."""

from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from activities.database.certificates import TlsFileError, check_authorities, check_pair
from app.crypto.payload_keys import KeyRing
from app.settings.base import ProcessSettings
from app.settings.types import PayloadKeys, ServerAddress, WorkerVersion

IMPLYING_TLS = (
    "temporal_api_key",
    "temporal_tls_ca_file",
    "temporal_tls_cert_file",
    "temporal_tls_key_file",
    "temporal_tls_server_name",
)


class TemporalSettings(ProcessSettings):
    """Temporal's address, TLS, namespace, queue and timeouts; all that some commands need."""

    temporal_address: ServerAddress = "temporal-frontend.temporal.svc.cluster.local:7233"
    """Temporal's frontend, `host:port`."""
    temporal_tls: bool = False
    """TLS to Temporal; on by itself if one of the next five is set. Without a CA file the system's certificates are
    trusted. Files are read when a process starts, so renewed ones need a restart."""
    temporal_tls_ca_file: Path | None = None
    """PEM file of the CA certificates that sign Temporal's."""
    temporal_tls_cert_file: Path | None = None
    """PEM file of the client certificate (mutual TLS)."""
    temporal_tls_key_file: Path | None = None
    """PEM file of its key, without a passphrase."""
    temporal_tls_server_name: str | None = Field(default=None, min_length=1)
    """Name that Temporal's certificate must have, if it isn't the host of `TEMPORAL_ADDRESS`."""
    temporal_api_key: SecretStr | None = Field(default=None, min_length=1)
    """API key of Temporal Cloud; only ever sent over TLS."""
    payload_keys: PayloadKeys | None = None
    """Keys that encrypt what Temporal stores, as `id:key,id:key`, each of 32 bytes in base64; the first encrypts, all
    decrypt. By default one is derived from `NEXTAUTH_SECRET`, which always decrypts."""
    temporal_namespace: str = "default"
    """Temporal namespace."""
    temporal_task_queue: str = "tenant-workflows"
    """Task queue that the worker polls and the gateway starts on."""
    allow_foreign_pollers: bool = False
    """`true` lets a worker poll a task queue that workers of other services poll, too. Each side then gets workflows
    that it doesn't know, and they stand still."""
    temporal_worker_version: WorkerVersion | None = None
    """Deployment and build of a worker, `name:build`, for Temporal's worker versioning; off by default. A versioned
    worker gets no work before its version is made the current one in Temporal."""
    temporal_rpc_timeout: float = Field(default=3.0, gt=0, le=30)
    """Seconds that one call to Temporal may take before a request gets a 503."""
    temporal_workflow_task_timeout: float = Field(default=5.0, ge=1, le=60)
    """Seconds of a workflow task; cancels and progress get through at 80 % of it while a step runs."""

    @model_validator(mode="after")
    def _refuse_unusable_temporal_tls(self) -> Self:
        implying = self._implying_tls()
        if implying and "temporal_tls" in self.model_fields_set and not self.temporal_tls:
            raise ValueError(f"TEMPORAL_TLS is false, but {implying[0]} is set; remove one of them")
        authorities, certificate = self.temporal_tls_ca_file, self.temporal_tls_cert_file
        key = self.temporal_tls_key_file
        if (certificate is None) != (key is None):
            missing = "TEMPORAL_TLS_CERT_FILE" if certificate is None else "TEMPORAL_TLS_KEY_FILE"
            raise ValueError(f"{missing} is not set: a client certificate needs its key, and a key its certificate")
        setting = "TEMPORAL_TLS_CA_FILE"
        try:
            if authorities is not None:
                check_authorities(authorities)
            if certificate is not None and key is not None:
                setting = "TEMPORAL_TLS_CERT_FILE"
                check_authorities(certificate)
                setting = "TEMPORAL_TLS_KEY_FILE"
                check_pair(certificate, key)
        except TlsFileError as error:
            raise ValueError(f"{setting}: {error}") from None
        return self

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys of what Temporal stores."""
        keys = self.payload_keys
        # Commands that only use Temporal need no secret, but read it if there is one.
        secret: SecretStr | None = getattr(self, "nextauth_secret", None)
        return KeyRing.of(
            keys.get_secret_value() if keys is not None else None,
            secret.get_secret_value() if secret is not None else None,
        )

    @property
    def temporal_uses_tls(self) -> bool:
        """Whether all connections to Temporal use TLS."""
        return self.temporal_tls or bool(self._implying_tls())

    def _implying_tls(self) -> list[str]:
        return [name.upper() for name in IMPLYING_TLS if getattr(self, name) is not None]


class HistorySettings(TemporalSettings):
    """What commands need that read histories and use no database."""

    nextauth_secret: SecretStr | None = None
    """Needed for what was encrypted with the key that is derived from it."""
