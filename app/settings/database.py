"""What is needed to reach Alga's database."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from sqlalchemy import URL

from activities.database.tls import DatabaseTls, TlsError
from app.settings.base import ProcessSettings
from app.settings.types import PostgresUrl, sqlalchemy_url

SETTINGS_OF_PARAMETERS = {
    "sslmode": "DATABASE_TLS_MODE",
    "sslrootcert": "DATABASE_TLS_CA_FILE",
    "sslcert": "DATABASE_TLS_CERT_FILE",
    "sslkey": "DATABASE_TLS_KEY_FILE",
}


class DatabaseSettings(ProcessSettings):
    """The URLs of both roles, their TLS, the pool, and the statement timeout."""

    database_url: PostgresUrl
    """Alga's database as the gateway uses it (`postgresql://…`): a role of its own that only reads Alga's tables;
    docs/security.md has the SQL."""
    admin_database_url: PostgresUrl
    """The same database as the worker and `migrate` use it (a role that owns Alga's tables)."""
    database_tls_mode: Literal["disable", "require", "verify-ca", "verify-full"] | None = None
    """TLS to the database, for both URLs, with the meaning of `?sslmode=…` in a URL. Only `verify-full` stops
    impostors. By default TLS is used unverified if the server offers it."""
    database_tls_ca_file: str | None = Field(default=None, min_length=1)
    """PEM file of the CA certificates that sign the database's, or `system`; `sslrootcert` in a URL. It and the next
    two are read for every connection, so renewed files need no restart."""
    database_tls_cert_file: str | None = Field(default=None, min_length=1)
    """PEM file of the client certificate; `sslcert` in a URL."""
    database_tls_key_file: str | None = Field(default=None, min_length=1)
    """PEM file of its key, without a passphrase; `sslkey` in a URL."""
    database_pool_size: int = Field(default=10, ge=1, le=200)
    """Connections that a process keeps open."""
    database_pgbouncer: bool = False
    """`true` behind PgBouncer in transaction mode: no prepared-statement cache, no session settings."""
    statement_timeout: float = Field(default=8.0, gt=0, le=600)
    """Seconds that one SQL statement of a step may take."""

    @model_validator(mode="after")
    def _refuse_unusable_tls(self) -> Self:
        for name in ("database_url", "admin_database_url"):
            own = DatabaseTls.of(sqlalchemy_url(getattr(self, name)))
            for parameter, value in own.given.items():
                setting = self._database_tls.given.get(parameter)
                if setting not in {None, value}:
                    pair = f"{SETTINGS_OF_PARAMETERS[parameter]} and {parameter} in {name.upper()}"
                    raise ValueError(f"{pair} contradict each other; remove one of them")
            try:
                DatabaseTls.of(self._with_tls(getattr(self, name))).check()
            except TlsError as error:
                is_in_url = error.parameter in own.given or not self._database_tls.given
                place = f"{name.upper()}: {error.parameter}" if is_in_url else SETTINGS_OF_PARAMETERS[error.parameter]
                raise ValueError(f"{place} {error.reason}") from None
        return self

    @property
    def gateway_database(self) -> URL:
        """The database as the gateway reaches it."""
        return self._with_tls(self.database_url)

    @property
    def admin_database(self) -> URL:
        """The database as the worker and `migrate` reach it."""
        return self._with_tls(self.admin_database_url)

    @property
    def _database_tls(self) -> DatabaseTls:
        settings = SETTINGS_OF_PARAMETERS.items()
        return DatabaseTls(**{parameter: getattr(self, name.lower()) for parameter, name in settings})

    def _with_tls(self, url: SecretStr) -> URL:
        return self._database_tls.add_to(sqlalchemy_url(url))
