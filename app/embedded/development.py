"""Makes a running stack into a working installation: schema, tables, rights, secrets, an API key, two processes."""

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from activities.alga.development import create_development_tables
from app.audit.trail import audit_trail
from app.auth.keys.api_keys import ApiKeys, KeyOrder
from app.auth.keys.management import KeyManagement
from app.auth.keys.signing import api_key_signer
from app.auth.operators import operator
from app.auth.scopes import Scope
from app.embedded.paths import open_private
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port, is_free, on_free_ports
from app.embedded.processes.processes import ChildProcess
from app.embedded.stack import DevStack, Endpoints
from app.settings import Settings
from migrations.upgrade import admin_engine, upgrade

DEFAULT_PORT = 8000
API_KEY_NAME = "development"
PROBE_TIMEOUT = 2.0


@dataclass(frozen=True)
class Installation:
    """Where a development installation is reached, and the key that opens it."""

    url: str
    api_key: str = field(repr=False)
    database_url: str = field(repr=False)
    admin_database_url: str = field(repr=False)
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
    stack: DevStack,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> Installation:
    """Bring the stack's database up to date and start a worker and a gateway that end with the stack.

    Without a `port` the gateway gets 8000, or a free one where that is taken. `environment` adds to what the
    processes get, and wins; `say` hears of each thing that is done.

    Raises:
        StackError: a process ended before it was ready; the message ends with its log.
        AlgaOwnsDatabaseError: Alga manages the database, and lacks tables that we need.
    """
    endpoints = stack.endpoints
    say("preparing the database")
    variables = {**_environment(endpoints), **(environment or {})}
    api_key = _kept_api_key(_settings(variables), endpoints.data_dir / "api-key")
    installation = _Processes(stack, api_key, variables, say)
    worker = installation.start_worker()
    gateway, url = installation.start_gateway(port)
    return Installation(
        url=url,
        api_key=api_key,
        database_url=endpoints.database_url,
        admin_database_url=endpoints.admin_database_url,
        temporal_address=endpoints.temporal_address,
        temporal_ui=endpoints.temporal_ui,
        processes={"worker": worker, "gateway": gateway},
    )


class _Processes:
    """Starts the service's two processes on ports that nobody else has."""

    def __init__(
        self, stack: DevStack, api_key: str, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._stack = stack
        self._api_key = api_key
        self._environment = environment
        self._say = say

    def start_worker(self) -> ChildProcess:
        """A worker whose probes say that it is ready."""
        self._say("starting the worker")
        port = free_port()
        return self._start("worker", {"WORKER_PROBE_PORT": str(port)}, lambda: _answers(port, "/readyz"))

    def start_gateway(self, port: int | None) -> tuple[ChildProcess, str]:
        """A gateway that takes our key, and its address; one that answers on that port may be another instance's."""
        self._say("starting the gateway")
        if port is not None:
            return self._gateway_at(port)
        return on_free_ports(lambda: self._gateway_at(DEFAULT_PORT if is_free(DEFAULT_PORT) else free_port()))

    def _gateway_at(self, port: int) -> tuple[ChildProcess, str]:
        def is_ready() -> bool:
            return _answers(port, "/readyz") and _answers(port, "/api-keys", {"X-API-Key": self._api_key})

        return self._start("gateway", {"GATEWAY_PORT": str(port)}, is_ready), f"http://{LOOPBACK}:{port}"

    def _start(self, name: str, environment: Mapping[str, str], is_ready: Callable[[], bool]) -> ChildProcess:
        command = [sys.executable, "-m", "app.cli", name]
        return self._stack.start_process(name, command, {**self._environment, **environment}, is_ready)


def _environment(endpoints: Endpoints) -> dict[str, str]:
    return {
        **os.environ,
        "ENVIRONMENT": "development",
        "DATABASE_URL": endpoints.database_url,
        "ADMIN_DATABASE_URL": endpoints.admin_database_url,
        "TEMPORAL_ADDRESS": endpoints.temporal_address,
        "NEXTAUTH_SECRET": os.environ.get("NEXTAUTH_SECRET") or _kept_secret(endpoints.data_dir / "nextauth-secret"),
        "GATEWAY_HOST": LOOPBACK,
        # `make load` and `make test-api` create thousands of tenants.
        "CREATIONS_PER_HOUR": os.environ.get("CREATIONS_PER_HOUR", "0"),
        "WORKER_PROBE_HOST": LOOPBACK,
    }


def _settings(variables: Mapping[str, str]) -> Settings:
    """What the processes will read of these variables, as far as the database is concerned."""
    return Settings.load(
        environment="development",
        database_url=SecretStr(variables["DATABASE_URL"]),
        admin_database_url=SecretStr(variables["ADMIN_DATABASE_URL"]),
        nextauth_secret=SecretStr(variables["NEXTAUTH_SECRET"]),
    )


def _kept_api_key(settings: Settings, file: Path) -> str:
    """Prepare the database; the key of an earlier start where the database still knows it, else a new one."""
    kept = file.read_text() if file.exists() else None
    key = run_blocking(_prepare(settings, kept))
    if key != kept:
        with open_private(file) as private:
            private.write(key.encode())
    return key


async def _prepare(settings: Settings, kept_key: str | None) -> str:
    admin, gateway = settings.admin_database, settings.gateway_database
    await upgrade(admin, gateway_role=gateway.username)
    engine = admin_engine(admin)
    keys = ApiKeys(engine, api_key_signer(settings))
    try:
        async with engine.begin() as connection:
            if await create_development_tables(connection) and gateway.username != admin.username:
                # Alga's own migrations give its role the same.
                role = connection.dialect.identifier_preparer.quote(str(gateway.username))
                await connection.execute(
                    text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
                )
        everything = frozenset(Scope)
        known = await keys.verify(kept_key) if kept_key is not None else None
        if kept_key is not None and known is not None and known.caller.scopes == everything:
            return kept_key
        order = KeyOrder(name=API_KEY_NAME, scopes=everything)
        return (await KeyManagement(engine, keys, audit_trail(settings)).create(order, operator())).key
    finally:
        keys.close()
        await engine.dispose()


def _kept_secret(file: Path) -> str:
    if not file.exists():
        with open_private(file) as private:
            private.write(secrets.token_urlsafe(32).encode())
    return file.read_text()


def _answers(port: int, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a server on that port answers well."""
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}{path}", headers=headers, timeout=PROBE_TIMEOUT).is_success
    except httpx.TransportError:
        return False
