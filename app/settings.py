"""All settings, read from the environment (or from files named like them in `SECRETS_DIR`)."""

import os
import re
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit
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


# Scheme, host and port in lower case, as browsers write them.
ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


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


def _redis_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis:// or rediss://")
    return value


def _proxy_addresses(value: str) -> str:
    for item in split_list(value):
        try:
            ip_network(item)
        except ValueError:
            raise ValueError("must be IP addresses or networks like 10.0.0.0/8, separated by commas") from None
    return value


def _origins(value: str) -> str:
    for item in split_list(value):
        if item == "*":
            raise ValueError("must name each origin; `*` would let every page that somebody visits call the gateway")
        if ORIGIN.fullmatch(item) is None:
            raise ValueError("must be origins as browsers send them, like https://admin.example.com, without a path")
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
ProxyAddresses = Annotated[str, AfterValidator(_proxy_addresses)]
Origins = Annotated[str, AfterValidator(_origins)]


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

    rate_limit_per_minute: int = Field(
        default=30_000,
        ge=0,
        le=1_000_000,
        description="Requests that one caller may make a minute, for good; 0: no limit. The default is 25 times "
        "what a page costs that polls 20 operations each second: it stops programs that went wild, not people.",
    )
    rate_limit_burst: int = Field(
        default=30_000, ge=1, le=10_000_000, description="Requests that one caller may make at once after a rest."
    )
    rate_limit_failed_per_minute: int = Field(
        default=60,
        ge=0,
        le=1_000_000,
        description="Requests without a valid key that one address (IPv6: /64) may make a minute; 0: no limit.",
    )
    rate_limit_failed_burst: int = Field(
        default=120, ge=1, le=10_000_000, description="The same, at once after a rest."
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        description="Redis (`redis://…`, `rediss://…`) in which all gateways count together; else each counts alone.",
    )
    max_body_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Largest body of a request; the longest valid one has some 100 KiB.",
    )
    max_header_bytes: int = Field(
        default=32 * 1024, ge=1024, le=1024 * 1024, description="Largest request line and headers together."
    )
    request_header_timeout: float = Field(
        default=10.0, gt=0, le=600, description="Seconds that a client may take to send request line and headers."
    )
    body_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds that a client may take to send the whole body."
    )
    send_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds that an answer may wait for a client that does not read."
    )
    keep_alive_timeout: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="Seconds that an idle connection is kept; more than proxies keep theirs (usually 60).",
    )
    max_concurrent_requests: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Requests that a gateway works on at once, those that wait by `Prefer` too; others get a 503. "
        "Probes don't count.",
    )
    forwarded_allow_ips: ProxyAddresses = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks, by comma, of proxies whose `X-Forwarded-For` and `-Proto` are believed.",
    )
    cors_origins: Origins | None = Field(
        default=None,
        description="Origins, by comma, whose pages may call the gateway, like `https://admin.example.com`.",
    )

    blueprints_dir: Path | None = Field(
        default=None,
        description="Folder of blueprint files that replace the built-in ones of the same product.",
    )

    nextauth_secret: SecretStr = Field(description="Alga's password key; the same value as in Alga itself.")
    audit_secret: SecretStr | None = Field(
        default=None,
        min_length=MINIMUM_SECRET_LENGTH,
        description="Key of the audit trail's hashes, at least 16 characters; derived from `NEXTAUTH_SECRET` by "
        "default. With another one, what was recorded before can't be verified any more.",
    )
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


def split_list(value: str) -> list[str]:
    """The items of a setting that is a list."""
    return [item for item in (part.strip() for part in value.split(",")) if item]


def sqlalchemy_url(url: SecretStr) -> URL:
    """The URL as SQLAlchemy's asyncpg dialect wants it."""
    return make_url(url.get_secret_value()).set(drivername="postgresql+asyncpg")
