"""What it takes to reach Alga's database."""

from pydantic import Field

from app.settings.base import ProcessSettings
from app.settings.types import PostgresUrl


class DatabaseSettings(ProcessSettings):
    """Both roles' URLs, the pool, and how long a statement may take."""

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
