"""Makes a running stack into a working installation: schema, tables, rights, secrets, an API key, two processes."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.development import create_development_tables
from app.auth.api_keys import ApiKeys
from app.embedded.paths import open_private
from app.embedded.ports import LOOPBACK, free_port
from app.embedded.stack import DevStack
from migrations.upgrade import admin_engine, upgrade

DEFAULT_PORT = 8000
API_KEY_NAME = "development"
PROBE_TIMEOUT = 2.0


@dataclass(frozen=True)
class Installation:
    """Where a development installation is reached, and the key that opens it."""

    url: str
    api_key: str
    database_url: str
    admin_database_url: str
    temporal_address: str
    temporal_ui: str | None

    def as_json(self) -> str:
        """One line for programs."""
        return json.dumps(
            {
                "url": self.url,
                "apiKey": self.api_key,
                "databaseUrl": self.database_url,
                "adminDatabaseUrl": self.admin_database_url,
                "temporalAddress": self.temporal_address,
                "temporalUi": self.temporal_ui,
            }
        )


def install(
    stack: DevStack, *, port: int, environment: Mapping[str, str] | None = None, say: Callable[[str], None] = print
) -> Installation:
    """Bring the stack's database up to date and start a worker and a gateway that end with the stack.

    `environment` adds to what the processes get, and wins; `say` hears of each thing that is done.

    Raises:
        StackError: a process ended before it was ready; the message ends with its log.
        AlgaOwnsDatabaseError: Alga manages the database, and lacks tables that we need.
    """
    endpoints = stack.endpoints
    say("preparing the database")
    api_key = asyncio.run(_prepare(endpoints.admin_database_url, endpoints.database_url, endpoints.data_dir))
    probe_port = free_port()
    process_environment = {
        **os.environ,
        "ENVIRONMENT": "development",
        "DATABASE_URL": endpoints.database_url,
        "ADMIN_DATABASE_URL": endpoints.admin_database_url,
        "TEMPORAL_ADDRESS": endpoints.temporal_address,
        "NEXTAUTH_SECRET": os.environ.get("NEXTAUTH_SECRET") or _kept_secret(endpoints.data_dir / "nextauth-secret"),
        "GATEWAY_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "WORKER_PROBE_HOST": LOOPBACK,
        "WORKER_PROBE_PORT": str(probe_port),
        **(environment or {}),
    }
    for name, its_port in (("worker", probe_port), ("gateway", port)):
        say(f"starting the {name}")
        stack.start_process(name, [sys.executable, "-m", "app.cli", name], process_environment, _ready(its_port))
    return Installation(
        url=f"http://{LOOPBACK}:{port}",
        api_key=api_key,
        database_url=endpoints.database_url,
        admin_database_url=endpoints.admin_database_url,
        temporal_address=endpoints.temporal_address,
        temporal_ui=endpoints.temporal_ui,
    )


async def _prepare(admin_database_url: str, database_url: str, folder: Path) -> str:
    admin, gateway = _url(admin_database_url), _url(database_url)
    await upgrade(admin, gateway_role=gateway.username)
    engine = admin_engine(admin)
    try:
        async with engine.begin() as connection:
            made = await create_development_tables(connection)
            if made and gateway.username != admin.username:
                # Alga's own migrations give its role the same.
                role = connection.dialect.identifier_preparer.quote(str(gateway.username))
                await connection.execute(
                    text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
                )
        return await _kept_api_key(engine, folder / "api-key")
    finally:
        await engine.dispose()


async def _kept_api_key(engine: AsyncEngine, file: Path) -> str:
    """The key of an earlier start where the database still knows it, else a new one."""
    keys = ApiKeys(engine)
    if file.exists():
        key = file.read_text()
        if await keys.verify(key) is not None:
            return key
    created = await keys.create(API_KEY_NAME)
    with open_private(file) as private:
        private.write(created.key.encode())
    return created.key


def _kept_secret(file: Path) -> str:
    if not file.exists():
        with open_private(file) as private:
            private.write(secrets.token_urlsafe(32).encode())
    return file.read_text()


def _ready(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            with urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=PROBE_TIMEOUT) as response:  # noqa: S310 - http
                return bool(response.status == 200)  # noqa: PLR2004 - HTTP
        except (URLError, OSError):
            return False

    return answers


def _url(plain: str) -> URL:
    return make_url(plain).set(drivername="postgresql+asyncpg")
