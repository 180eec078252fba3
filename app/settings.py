"""All settings, read from the environment (or from files named like them in `SECRETS_DIR`)."""

import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activities.alga.passwords import PasswordHasher
from workflows.messages import FailurePolicy

PLACEHOLDERS = frozenset({"changeme", "change-me", "change_me", "secret", "password", "placeholder", "todo", "xxx"})
MINIMUM_SECRET_LENGTH = 16
LONGEST_ATTENTION = 366 * 86_400


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and the fix, never its value."""


def _postgres_url(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except ArgumentError:
        raise ValueError("must be a URL like postgresql://user:password@host:5432/database") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError("must start with postgresql://")
    if not url.database:
        raise ValueError("must name a database, as in postgresql://user:password@host:5432/database")
    return value


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


class TemporalSettings(BaseSettings):
    """What it takes to reach Temporal, for commands that do nothing else."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, case_sensitive=False
    )

    environment: Literal["production", "development"] = Field(
        default="production", description="`development` allows placeholder secrets and logs for people."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )

    temporal_address: str = Field(
        default="temporal-frontend.temporal.svc.cluster.local:7233",
        description="Temporal's frontend, `host:port`.",
    )
    temporal_namespace: str = Field(default="default", description="Temporal namespace.")
    temporal_task_queue: str = Field(
        default="tenant-workflows", description="Task queue that the worker polls and the gateway starts on."
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

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and the files of `SECRETS_DIR`; raises `SettingsError` naming every fault."""
        secrets_dir = os.environ.get("SECRETS_DIR")
        if secrets_dir is not None and not Path(secrets_dir).is_dir():
            raise SettingsError(f"SECRETS_DIR: {secrets_dir} is not a folder")
        try:
            return cls(_secrets_dir=secrets_dir, **overrides)
        except ValidationError as error:
            raise SettingsError("\n".join(_fault(cls, item) for item in error.errors(include_input=False))) from None


class Settings(TemporalSettings):
    """The settings of every process; a process reads them once, at its start."""

    database_url: PostgresUrl = Field(
        description="Alga's database as the gateway uses it (`postgresql://…`, Alga's `app_user`)."
    )
    admin_database_url: PostgresUrl = Field(
        description="The same database as the worker and `migrate` use it (a role that owns Alga's tables)."
    )
    database_pool_size: int = Field(default=10, ge=1, le=200, description="Connections that a process keeps open.")
    database_pgbouncer: bool = Field(
        default=False,
        description="`true` behind PgBouncer in transaction mode: no prepared-statement cache, no session settings.",
    )
    statement_timeout: float = Field(
        default=8.0, gt=0, le=600, description="Seconds that one SQL statement of a step may take."
    )

    max_concurrent_activities: int = Field(default=10, ge=1, description="Activities that a worker runs at once.")
    max_concurrent_workflows: int = Field(default=10, ge=1, description="Workflow tasks that a worker runs at once.")
    shutdown_grace_period: float = Field(
        default=30.0, ge=0, le=600, description="Seconds that SIGTERM leaves running work to finish."
    )

    step_retry_window: float = Field(
        default=900.0,
        ge=0,
        description="Seconds that passing errors of a step are retried before the operation waits for an operator.",
    )
    attention_timeout: float = Field(
        default=604_800.0,
        gt=0,
        le=LONGEST_ATTENTION,
        description="Seconds that an operation waits for an operator before `ON_ATTENTION_TIMEOUT` is done.",
    )
    on_attention_timeout: Literal["rollback", "keep"] = Field(
        default="rollback", description="`rollback` removes what was written; `keep` goes on waiting."
    )
    reconcile_interval: float = Field(
        default=30.0,
        gt=0,
        description="Seconds between two comparisons of unfinished operations with Temporal, by each worker.",
    )
    master_billing_tenant_id: UUID | None = Field(
        default=None, description="Alga's own management tenant, which is never deleted."
    )

    gateway_host: str = Field(default="0.0.0.0", description="Address that the gateway listens on.")  # noqa: S104 - a container's port is opened by its service
    gateway_port: int = Field(default=8000, ge=0, le=65535, description="Port that the gateway listens on.")
    worker_probe_host: str = Field(default="0.0.0.0", description="Address of the worker's probes.")  # noqa: S104 - see gateway_host
    worker_probe_port: int = Field(default=8001, ge=0, le=65535, description="Port of the worker's probes.")
    prefer_wait_max: int = Field(
        default=60, ge=0, le=300, description="Most seconds that `Prefer: wait` is honoured for."
    )

    blueprints_dir: Path | None = Field(
        default=None,
        description="Folder of blueprint files that replace the built-in ones of the same product.",
    )

    nextauth_secret: SecretStr = Field(description="Alga's password key; the same value as in Alga itself.")
    salt_bytes: int = Field(default=12, ge=8, le=64, description="Alga's password salt, in bytes.")
    iterations: int = Field(default=10_000, ge=1, description="Alga's PBKDF2 rounds.")
    key_length: int = Field(default=64, ge=16, le=128, description="Alga's password key, in bytes.")
    algorithm: Literal["sha512", "sha256"] = Field(default="sha512", description="Alga's PBKDF2 digest.")

    @model_validator(mode="after")
    def _refuse_placeholder_secrets(self) -> Self:
        secret = self.nextauth_secret.get_secret_value()
        if not secret:
            raise ValueError("NEXTAUTH_SECRET must not be empty")
        if self.environment == "production" and (
            secret.lower() in PLACEHOLDERS or len(secret) < MINIMUM_SECRET_LENGTH
        ):
            raise ValueError(
                "NEXTAUTH_SECRET is a placeholder or shorter than "
                f"{MINIMUM_SECRET_LENGTH} characters; set the value that Alga itself uses"
            )
        return self

    @property
    def failure_policy(self) -> FailurePolicy:
        """What workflows do about errors that last."""
        return FailurePolicy(
            step_retry_window=timedelta(seconds=self.step_retry_window),
            attention_timeout=timedelta(seconds=self.attention_timeout),
            on_attention_timeout=self.on_attention_timeout,
        )

    @cached_property
    def password_hasher(self) -> PasswordHasher:
        """Alga's password algorithm with this installation's key."""
        return PasswordHasher(
            self.nextauth_secret.get_secret_value(),
            salt_bytes=self.salt_bytes,
            iterations=self.iterations,
            key_length=self.key_length,
            algorithm=self.algorithm,
        )


def _fault(settings: type[BaseSettings], item: Any) -> str:
    name = "_".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "missing":
        return f"{name} is not set: {settings.model_fields[item['loc'][0]].description}"
    reason = item["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason


def sqlalchemy_url(url: SecretStr) -> URL:
    """The URL as SQLAlchemy's asyncpg dialect wants it."""
    return make_url(url.get_secret_value()).set(drivername="postgresql+asyncpg")
