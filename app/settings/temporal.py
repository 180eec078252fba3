"""What it takes to reach Temporal."""

from functools import cached_property, partial
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from activities.database.certificates import TlsFileError, check_authorities, check_pair
from app.crypto.payload_keys import KeyRing
from app.settings.base import ProcessSettings
from app.settings.types import PayloadKeys, WorkerVersion


class TemporalSettings(ProcessSettings):
    """Temporal's address, TLS, namespace, queue and time limits; all that some commands need."""

    temporal_address: str = Field(
        default="temporal-frontend.temporal.svc.cluster.local:7233",
        description="Temporal's frontend, `host:port`.",
    )
    temporal_tls: bool = Field(
        default=False,
        description="TLS to Temporal; `true` by itself where one of the next five is set. Without a CA file the "
        "system's certificates count. What they hold is read when a process starts: renewed ones need a restart.",
    )
    temporal_tls_ca_file: Path | None = Field(
        default=None, description="PEM file of the certificates that sign Temporal's."
    )
    temporal_tls_cert_file: Path | None = Field(
        default=None, description="PEM file of the certificate that we show (mutual TLS)."
    )
    temporal_tls_key_file: Path | None = Field(default=None, description="PEM file of its key, without a passphrase.")
    temporal_tls_server_name: str | None = Field(
        default=None,
        min_length=1,
        description="Name that Temporal's certificate must have, where it isn't the host of `TEMPORAL_ADDRESS`.",
    )
    temporal_api_key: SecretStr | None = Field(
        default=None, min_length=1, description="API key of Temporal Cloud; only ever sent over TLS."
    )
    payload_keys: PayloadKeys | None = Field(
        default=None,
        description="Keys that encrypt what Temporal keeps, as `id:key,id:key`, each of 32 bytes in base64; the "
        "first encrypts, all decrypt. By default one is derived from `NEXTAUTH_SECRET`, which goes on decrypting.",
    )
    temporal_namespace: str = Field(default="default", description="Temporal namespace.")
    temporal_task_queue: str = Field(
        default="tenant-workflows", description="Task queue that the worker polls and the gateway starts on."
    )
    temporal_worker_version: WorkerVersion | None = Field(
        default=None,
        description="Deployment and build of a worker, `name:build`, for Temporal's worker versioning; off by "
        "default. A versioned worker gets nothing to do before its version is made the current one in Temporal.",
    )
    temporal_rpc_timeout: float = Field(
        default=3.0,
        gt=0,
        le=30,
        description="Seconds that one call to Temporal may take before a request gets a 503.",
    )
    temporal_workflow_task_timeout: float = Field(
        default=5.0,
        ge=1,
        le=60,
        description="Seconds of a workflow task; cancels and progress pass at 80 % of it while a step runs.",
    )

    @model_validator(mode="after")
    def _refuse_unusable_temporal_tls(self) -> Self:
        implying = self._implying_tls()
        if implying and "temporal_tls" in self.model_fields_set and not self.temporal_tls:
            raise ValueError(f"TEMPORAL_TLS is false, but {implying[0]} is set; remove one of them")
        authorities, certificate = self.temporal_tls_ca_file, self.temporal_tls_cert_file
        key = self.temporal_tls_key_file
        if (certificate is None) != (key is None):
            lacking = "TEMPORAL_TLS_CERT_FILE" if certificate is None else "TEMPORAL_TLS_KEY_FILE"
            raise ValueError(f"{lacking} is not set: a client certificate needs its key, and a key its certificate")
        if authorities is not None:
            _check("TEMPORAL_TLS_CA_FILE", partial(check_authorities, authorities))
        if certificate is not None and key is not None:
            _check("TEMPORAL_TLS_CERT_FILE", partial(check_authorities, certificate))
            _check("TEMPORAL_TLS_KEY_FILE", partial(check_pair, certificate, key))
        return self

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys of what Temporal keeps."""
        given = self.payload_keys
        # Commands that only talk to Temporal need no secret; where there is one it is read.
        secret: SecretStr | None = getattr(self, "nextauth_secret", None)
        return KeyRing.of(
            given.get_secret_value() if given is not None else None,
            secret.get_secret_value() if secret is not None else None,
        )

    @property
    def temporal_uses_tls(self) -> bool:
        """Whether Temporal is only ever talked to over TLS."""
        return self.temporal_tls or bool(self._implying_tls())

    def _implying_tls(self) -> list[str]:
        names = ("ca_file", "cert_file", "key_file", "server_name")
        implying = ["temporal_api_key", *(f"temporal_tls_{name}" for name in names)]
        return [name.upper() for name in implying if getattr(self, name) is not None]


class HistorySettings(TemporalSettings):
    """What it takes to read histories, by commands that need no database."""

    nextauth_secret: SecretStr | None = Field(
        default=None, description="Needed for what was encrypted with the key that is derived from it."
    )


def _check(setting: str, check: partial[None]) -> None:
    try:
        check()
    except TlsFileError as error:
        raise ValueError(f"{setting}: {error}") from None
