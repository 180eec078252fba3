"""The disturbed installation: two servers on disk, two gateways, two workers, and a proxy on each connection."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
from sqlalchemy import make_url

from activities.alga.development import create_development_tables
from activities.audit.trail import AuditTrail
from app.audit.recorder import PURPOSE
from app.audit.verification import verify
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.signing import ApiKeySigner
from app.crypto.derived_keys import derive_key
from app.embedded.paths import make_folder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.temporal import EmbeddedTemporal
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade
from tests.activities.purge.rows import RowWriter
from tests.chaos.plan import REPLICAS, SERVERS, STEP_RETRY_WINDOW, Shape
from tests.e2e.deletions.full_tenants import LOOSEN
from tests.support.alga import ALGA, CATALOGS, build_template
from tests.support.api_keys import Keys
from tests.support.servers.databases import create_database
from tests.support.servers.proxy import Proxy
from tests.support.servers.supervised import SupervisedProcess
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
SECRET = "chaos-nextauth-secret"
TASK_QUEUE = "chaos"
TASK_TIMEOUT = 2.0
NEIGHBOUR = UUID("0ddba11d-0000-4000-8000-000000000001")
READY_TIMEOUT = 90.0
PROBE_TIMEOUT = 5.0

SETTINGS = {
    "ENVIRONMENT": "development",
    "NEXTAUTH_SECRET": SECRET,
    "CREATIONS_PER_HOUR": "0",
    # No tenant of a run is Alga's own.
    "MASTER_BILLING_TENANT_ID": str(NEIGHBOUR),
    "GATEWAY_HOST": LOOPBACK,
    "WORKER_PROBE_HOST": LOOPBACK,
    "TEMPORAL_TASK_QUEUE": TASK_QUEUE,
    # So that everything takes seconds that takes minutes in production.
    "TEMPORAL_WORKFLOW_TASK_TIMEOUT": str(TASK_TIMEOUT),
    "STEP_RETRY_WINDOW": str(STEP_RETRY_WINDOW),
    "MAINTENANCE_INTERVAL": "2",
    "SHUTDOWN_GRACE_PERIOD": "5",
}


def present_shapes() -> tuple[Shape, ...]:
    """Return the shapes of the schema that can be made here."""
    return ("plain", "citus") if ALGA.is_dir() else ("development",)


class Servers:
    """PostgreSQL with a database of the given shape, and Temporal; both on disk, each on a fixed port."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self._shape: Shape = shape
        self.ports = {server: free_port() for server in SERVERS}
        self.postgres = EmbeddedPostgres(folder / "postgres", pick_port=lambda: self.ports["database"])
        self.temporal = EmbeddedTemporal(folder / "temporal", ui=False, pick_port=lambda: self.ports["temporal"])
        self.admin_url = ""
        self.api_key = ""
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            cleanup.enter_context(self.postgres)
            cleanup.enter_context(self.temporal)
            self.admin_url = self._create_database()
            self.api_key = run_blocking(self._prepare())
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.admin_url).path.removeprefix("/")

    def url_through(self, proxy: Proxy, url: str) -> str:
        """Return the database's URL for the given URL's role, through a proxy."""
        role = urlsplit(url)
        return role._replace(
            netloc=f"{role.username}:{role.password}@{LOOPBACK}:{proxy.port}", path=f"/{self.database}"
        ).geturl()

    def _create_database(self) -> str:
        # Not dropped at the end, because the whole server is discarded.
        new_database = partial(create_database, self.postgres.admin_url)
        return new_database() if self._shape == "development" else build_template(self._shape, new_database)

    async def _prepare(self) -> str:
        """Set up the database with a neighbour's rows, so that the service can start; return an API key."""
        admin = make_url(self.admin_url).set(drivername="postgresql+asyncpg")
        role = str(urlsplit(self.postgres.url).username)
        await upgrade(admin, gateway_role=role)
        engine = admin_engine(admin)
        keys = ApiKeys(engine, ApiKeySigner(SECRET))
        try:
            async with engine.begin() as connection:
                await create_development_tables(connection)
            key = (await Keys(engine, keys, AuditTrail(derive_key(SECRET, PURPOSE))).create("chaos")).key
        finally:
            keys.close()
            await engine.dispose()
        make_folder(self.folder / "exports")
        connection = await asyncpg.connect(self.admin_url)
        try:
            if self._shape == "citus":
                await connection.execute(LOOSEN)
            await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
            await self._write_neighbour(connection)
        finally:
            await connection.close()
        return key

    async def verify_trail(self) -> tuple[str, ...]:
        """Return where the audit trail is broken."""
        engine = admin_engine(make_url(self.admin_url).set(drivername="postgresql+asyncpg"))
        try:
            async with engine.connect() as connection:
                report = await verify(connection, AuditTrail(derive_key(SECRET, PURPOSE)))
        finally:
            await engine.dispose()
        return tuple(f"event {found.sequence}: {found.detail}" for found in report.breaks)

    async def _write_neighbour(self, connection: asyncpg.Connection) -> None:
        """Write a tenant with a row in every table, so that every statement that reaches too far is noticed."""
        if self._shape == "development":
            return
        writer = RowWriter(json.loads((ALGA / CATALOGS[self._shape]).read_text()))
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(";".join(writer.rows_of(NEIGHBOUR)))


class Installation:
    """The service's processes between the servers, each with its own proxies; use it in an `async with` block."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.logs = servers.folder / "logs"
        make_folder(self.logs)
        self.links: dict[tuple[str, str], Proxy] = {}
        self.replicas: dict[str, SupervisedProcess] = {}
        self._ports: dict[str, int] = {}
        self._cleanup = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as cleanup:
            for name in REPLICAS:
                for server in SERVERS:
                    proxy = Proxy(self.servers.ports[server])
                    self.links[name, server] = await cleanup.enter_async_context(proxy)
            for name in REPLICAS:
                replica = SupervisedProcess(
                    name,
                    [sys.executable, "-m", "app.cli", name.split("-")[0]],
                    launch=partial(self._environment, name),
                    logs=self.logs,
                    cwd=REPOSITORY,
                )
                self.replicas[name] = await cleanup.enter_async_context(replica)
            await self.ready()
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cleanup.aclose()

    @property
    def gateways(self) -> tuple[str, str]:
        """The addresses of the gateways, which change with every start."""
        first, second = (f"http://{LOOPBACK}:{self._ports[name]}" for name in REPLICAS if name.startswith("gateway"))
        return first, second

    async def ready(self) -> None:
        """Return when every process is ready and lacks nothing; raise `TimeoutError` if one never is."""
        async with httpx.AsyncClient(timeout=PROBE_TIMEOUT) as http:
            for name in REPLICAS:
                await wait_until(partial(self._is_ready, http, name), timeout=READY_TIMEOUT)

    async def _is_ready(self, http: httpx.AsyncClient, name: str) -> bool:
        try:
            response = await http.get(f"http://{LOOPBACK}:{self._ports[name]}/readyz")
            return bool(response.json()["status"] == "ok")
        except httpx.TransportError:
            return False

    def _environment(self, name: str) -> Mapping[str, str]:
        servers = self.servers
        database, temporal = (self.links[name, server] for server in SERVERS)
        # A new one for each start, because another process may have the old one by now.
        self._ports[name] = free_port()
        return {
            **os.environ,
            **SETTINGS,
            "EXPORT_URL": (servers.folder / "exports").as_uri(),
            "DATABASE_URL": servers.url_through(database, servers.postgres.url),
            "ADMIN_DATABASE_URL": servers.url_through(database, servers.admin_url),
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{temporal.port}",
            "GATEWAY_PORT": str(self._ports[name]),
            "WORKER_PROBE_PORT": str(self._ports[name]),
        }
