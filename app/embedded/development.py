"""Sets up a working installation on a running stack: schema, tables, rights, secrets, an API key, two processes."""

import json
import os
import secrets
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr
from pydantic.alias_generators import to_camel
from sqlalchemy import text

from activities.alga.development import (
    MANAGEMENT_TENANT,
    create_development_tables,
    create_management_tenant,
    has_management_tenant,
)
from activities.alga.tables import tenants
from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.format import id_of
from app.auth.keys.management import KeyManagement, KeyOrder
from app.auth.keys.signing import api_key_signer
from app.auth.scopes import Scope
from app.auth.sessions.links import SignInLinks
from app.embedded.paths import open_private
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, on_free_ports
from app.embedded.processes.processes import ChildProcess
from app.embedded.profile import Profile, write_profile
from app.embedded.stack import DevStack, Endpoints
from app.settings import Settings
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade

DEFAULT_PORT = 8000
GATEWAY = "the gateway"
PROBES = "the worker's probes"
API_KEY_NAME = "development"
PROBE_TIMEOUT = 10.0
# Trusts no authority: reading those of the system would cost 40 ms of each probe, and probes use no TLS.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Installation(Endpoints):
    """Where a development installation is reached, its API key, and its management tenant if it has one.

    `console` signs in to the console, once and soon.
    """

    url: str
    api_key: str = field(repr=False)
    console: str = field(repr=False)
    management_tenant: str | None
    processes: Mapping[str, ChildProcess]

    def as_json(self) -> str:
        """Return one line for programs."""
        hidden = {"management_tenant", "processes"}
        shown = {to_camel(name): value for name, value in vars(self).items() if name not in hidden}
        return json.dumps(shown | {"dataDir": str(self.data_dir)})


def install(
    stack: DevStack,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> Installation:
    """Bring the stack's database up to date and start a worker and a gateway that end with the stack.

    Without a `port` the gateway gets that of the last start or 8000, or a free one if that is taken. `environment`
    overrides the variables of the processes; `say` is called with each thing that is being done. The command line
    finds the installation by a profile in the data folder.

    Raises:
        StackError: `port` is in use, or a process ended before it was ready; the message ends with its log.
        AlgaOwnsDatabaseError: Alga manages the database, and required tables are missing.
    """
    endpoints = stack.endpoints
    say("preparing the database")
    variables = {**_environment(endpoints), **(environment or {})}
    # Only what the database needs of what the processes will read.
    settings = Settings.load(
        environment="development",
        database_url=SecretStr(variables["DATABASE_URL"]),
        admin_database_url=SecretStr(variables["ADMIN_DATABASE_URL"]),
        nextauth_secret=SecretStr(variables["NEXTAUTH_SECRET"]),
    )
    if run_blocking(_prepare_database(settings)):
        variables.setdefault("MASTER_BILLING_TENANT_ID", str(MANAGEMENT_TENANT))
    api_key = _kept_api_key(settings, endpoints.data_dir / "api-key")

    def start(name: str, changes: Mapping[str, str], is_ready: Callable[[], bool]) -> ChildProcess:
        return stack.start_process(name, [sys.executable, "-m", "app.cli", name], {**variables, **changes}, is_ready)

    def start_gateway(at: int) -> tuple[ChildProcess, str]:
        def is_ready() -> bool:
            # Without the key another instance's gateway on that port would pass.
            return _responds(at, "/readyz") and _responds(at, "/api-keys", {"X-API-Key": api_key})

        return start("gateway", {"GATEWAY_PORT": str(at)}, is_ready), f"http://{LOOPBACK}:{at}"

    def start_worker(at: int) -> ChildProcess:
        return start("worker", {"WORKER_PROBE_PORT": str(at)}, lambda: _responds(at, "/readyz"))

    say("starting the worker")
    worker = on_free_ports(lambda: start_worker(stack.ports.pick(PROBES)))
    say("starting the gateway")
    if port is not None:
        gateway, url = start_gateway(stack.ports.require(GATEWAY, port))
    else:
        gateway, url = on_free_ports(lambda: start_gateway(stack.ports.pick(GATEWAY, DEFAULT_PORT)))
    stack.ports.keep()
    processes = {"worker": worker, "gateway": gateway}
    read = {name: value for name, value in variables.items() if name.lower() in Settings.model_fields}
    write_profile(endpoints.data_dir, Profile(url, api_key, endpoints.temporal_ui, read))
    return Installation(
        **vars(endpoints),
        url=url,
        api_key=api_key,
        console=f"{url}/console/sign-in?link={run_blocking(sign_in_link(settings, api_key))}",
        management_tenant=variables.get("MASTER_BILLING_TENANT_ID"),
        processes=processes,
    )


def _environment(endpoints: Endpoints) -> dict[str, str]:
    return {
        **os.environ,
        "ENVIRONMENT": "development",
        "DATABASE_URL": endpoints.database_url,
        "ADMIN_DATABASE_URL": endpoints.admin_database_url,
        "TEMPORAL_ADDRESS": endpoints.temporal_address,
        "NEXTAUTH_SECRET": os.environ.get("NEXTAUTH_SECRET") or _kept_secret(endpoints.data_dir / "nextauth-secret"),
        "EXPORT_URL": os.environ.get("EXPORT_URL") or (endpoints.data_dir.absolute() / "exports").as_uri(),
        "WEBHOOK_ALLOWED_NETWORKS": os.environ.get("WEBHOOK_ALLOWED_NETWORKS") or "127.0.0.0/8,::1/128",
        "GATEWAY_HOST": LOOPBACK,
        # `make load` and `make test-api` create thousands of tenants.
        "CREATIONS_PER_HOUR": os.environ.get("CREATIONS_PER_HOUR", "0"),
        "WORKER_PROBE_HOST": LOOPBACK,
    }


async def _prepare_database(settings: Settings) -> bool:
    """Bring the database up to date, and return whether it has the management tenant of development."""
    admin, gateway = settings.admin_database, settings.gateway_database
    await upgrade(admin, gateway_role=gateway.username)
    engine = admin_engine(admin)
    try:
        async with engine.begin() as connection:
            created = await create_development_tables(connection)
            if created and gateway.username != admin.username:
                # The same rights as Alga's own migrations grant.
                role = connection.dialect.identifier_preparer.quote(str(gateway.username))
                await connection.execute(
                    text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
                )
            if tenants.name in created:
                await create_management_tenant(connection)
            return await has_management_tenant(connection)
    finally:
        await engine.dispose()


def _kept_api_key(settings: Settings, file: Path) -> str:
    """Return the API key of an earlier start if it is still valid, else a new one."""
    kept = file.read_text() if file.exists() else None
    key = run_blocking(_valid_api_key(settings, kept))
    if key != kept:
        with open_private(file) as private:
            private.write(key.encode())
    return key


async def _valid_api_key(settings: Settings, kept: str | None) -> str:
    engine = admin_engine(settings.admin_database)
    keys = ApiKeys(engine, api_key_signer(settings))
    try:
        all_scopes = frozenset(Scope)
        known = await keys.verify(kept) if kept is not None else None
        if kept is not None and known is not None and known.caller.scopes == all_scopes:
            return kept
        order = KeyOrder(name=API_KEY_NAME, scopes=all_scopes)
        return (await KeyManagement(engine, keys, audit_trail(settings)).create(order, operator())).key
    finally:
        keys.close()
        await engine.dispose()


async def sign_in_link(settings: Settings, api_key: str) -> str:
    """Return a link that signs in as the owner of the key."""
    engine = admin_engine(settings.admin_database)
    try:
        return await SignInLinks(settings.nextauth_secret.get_secret_value(), engine).create(id_of(api_key))
    finally:
        await engine.dispose()


def _kept_secret(file: Path) -> str:
    if not file.exists():
        with open_private(file) as private:
            private.write(secrets.token_urlsafe(32).encode())
    return file.read_text()


def _responds(port: int, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Return whether a server on that port responds with success."""
    url = f"http://{LOOPBACK}:{port}{path}"
    try:
        return httpx.get(url, headers=headers, timeout=PROBE_TIMEOUT, verify=NO_AUTHORITIES).is_success
    except httpx.TransportError:
        return False
