"""A gateway process on its own servers, without a worker, and keys in every state."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import make_url, text

from activities.alga.development import create_development_tables
from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import CreatedKey, KeyManagement, KeyOrder
from app.auth.keys.signing import api_key_signer
from app.auth.scopes import Scope
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.stack import DevStack, Endpoints
from app.settings import Settings
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade

SECRET = "a secret of measurements only"  # noqa: S105 - of a temporary database


@dataclass(frozen=True)
class Keys:
    """Valid keys, and keys that are no longer valid."""

    good: CreatedKey
    revoked: CreatedKey
    expired: CreatedKey
    attacker: CreatedKey


@contextmanager
def servers(folder: Path) -> Iterator[tuple[DevStack, Keys]]:
    """Run PostgreSQL and Temporal with our tables and keys for the duration of the block."""
    with DevStack(folder, ui=False, durable=False) as stack:
        yield stack, run_blocking(_prepare(stack.endpoints))


@dataclass(frozen=True)
class Gateway:
    """A gateway process."""

    url: str
    pid: int


@contextmanager
def gateway(stack: DevStack, name: str, settings: Mapping[str, str]) -> Iterator[Gateway]:
    """Run another gateway on the servers, with these settings."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    environment = {**_environment(stack.endpoints), "GATEWAY_PORT": str(port), **settings}

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    with ExitStack() as cleanup:
        process = stack.start_process(name, [sys.executable, "-m", "app.cli", "gateway"], environment, is_ready)
        cleanup.callback(process.stop)
        yield Gateway(url, process.pid)


def _environment(endpoints: Endpoints) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DATABASE_URL": endpoints.database_url,
        "ADMIN_DATABASE_URL": endpoints.admin_database_url,
        "TEMPORAL_ADDRESS": endpoints.temporal_address,
        "NEXTAUTH_SECRET": SECRET,
        "GATEWAY_HOST": LOOPBACK,
        "LOG_LEVEL": "error",
    }


async def _prepare(endpoints: Endpoints) -> Keys:
    admin = make_url(endpoints.admin_database_url).set(drivername="postgresql+asyncpg")
    role = str(make_url(endpoints.database_url).username)
    await upgrade(admin, gateway_role=role)
    engine = admin_engine(admin)
    settings = Settings.load(**{name.lower(): value for name, value in _environment(endpoints).items()})
    keys = ApiKeys(engine, api_key_signer(settings))
    management = KeyManagement(engine, keys, audit_trail(settings))
    try:
        async with engine.begin() as connection:
            await create_development_tables(connection)
            await connection.execute(
                text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
            )
        made = [
            await management.create(KeyOrder(name, frozenset(Scope), expires_in=expires_in), operator())
            for name, expires_in in (
                ("good", None),
                ("revoked", None),
                ("expired", timedelta(seconds=-1)),
                ("attacker", None),
            )
        ]
        await management.revoke(made[1].record.key_id, operator())
        return Keys(*made)
    finally:
        keys.close()
        await engine.dispose()
