"""Makes a running stack into a working installation: schema, tables, rights, secrets, an API key, two processes."""

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

from activities.alga.development import create_development_tables
from app.auth.api_keys import ApiKeys
from app.embedded.blocking import run_blocking
from app.embedded.paths import open_private
from app.embedded.ports import LOOPBACK, free_port
from app.embedded.processes import ChildProcess
from app.embedded.stack import DevStack, Endpoints
from migrations.upgrade import admin_engine, upgrade

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
    processes: Mapping[str, ChildProcess]

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
    api_key = _kept_api_key(endpoints, endpoints.data_dir / "api-key")
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
    processes = {}
    for name, its_port in (("worker", probe_port), ("gateway", port)):
        say(f"starting the {name}")
        command = [sys.executable, "-m", "app.cli", name]
        processes[name] = stack.start_process(name, command, process_environment, _ready(its_port))
    return Installation(
        url=f"http://{LOOPBACK}:{port}",
        api_key=api_key,
        database_url=endpoints.database_url,
        admin_database_url=endpoints.admin_database_url,
        temporal_address=endpoints.temporal_address,
        temporal_ui=endpoints.temporal_ui,
        processes=processes,
    )


def _kept_api_key(endpoints: Endpoints, file: Path) -> str:
    """Prepare the database; the key of an earlier start where the database still knows it, else a new one."""
    kept = file.read_text() if file.exists() else None
    key = run_blocking(_prepare(_url(endpoints.admin_database_url), _url(endpoints.database_url), kept))
    if key != kept:
        with open_private(file) as private:
            private.write(key.encode())
    return key


async def _prepare(admin: URL, gateway: URL, kept_key: str | None) -> str:
    await upgrade(admin, gateway_role=gateway.username)
    engine = admin_engine(admin)
    keys = ApiKeys(engine)
    try:
        async with engine.begin() as connection:
            if await create_development_tables(connection) and gateway.username != admin.username:
                # Alga's own migrations give its role the same.
                role = connection.dialect.identifier_preparer.quote(str(gateway.username))
                await connection.execute(
                    text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
                )
        if kept_key is not None and await keys.verify(kept_key) is not None:
            return kept_key
        return (await keys.create(API_KEY_NAME)).key
    finally:
        keys.close()
        await engine.dispose()


def _kept_secret(file: Path) -> str:
    if not file.exists():
        with open_private(file) as private:
            private.write(secrets.token_urlsafe(32).encode())
    return file.read_text()


def _ready(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            with urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=PROBE_TIMEOUT) as response:
                return bool(response.status == 200)  # noqa: PLR2004 - HTTP
        except (URLError, OSError):
            return False

    return answers


def _url(plain: str) -> URL:
    return make_url(plain).set(drivername="postgresql+asyncpg")
